"""MLPerf's rows of 214 ids (DLRM-DCNv2), its tables as large as there is room, and what looks them up in full."""

from collections.abc import Sequence
from timeit import repeat

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from thimble.models.hashing import Floats, Int64s

DIM = 128
# fmt: off
ROWS = [40000000, 39060, 17295, 7424, 20265, 3, 7122, 1543, 63, 40000000, 3067956, 405282, 10, 2209, 11938, 155, 4,
        976, 14, 40000000, 40000000, 40000000, 590152, 12973, 108, 36]
VALUES = [3, 2, 1, 2, 6, 1, 1, 1, 1, 7, 3, 8, 1, 6, 9, 5, 1, 1, 1, 12, 100, 27, 10, 3, 1, 1]
# fmt: on
SLOTS = sum(VALUES)


def fitting_rows(gigabytes: float) -> list[int]:
    """The tables' rows, the longest ones cut alike, so that all take no more than so many bytes."""
    room = int(gigabytes * 1e9) // (DIM * 4)
    low, high = 1, max(ROWS)
    while low < high:
        most = (low + high + 1) // 2
        low, high = (most, high) if sum(min(rows, most) for rows in ROWS) <= room else (low, most - 1)
    return [min(rows, low) for rows in ROWS]


def drawn(rows_of: Sequence[int], count: int, skew: float | None, seed: int) -> Int64s:
    """Row numbers of each field's table, [count, slots]: uniform, or Zipf of this exponent, in no order."""
    random = np.random.default_rng(seed)
    rows = np.repeat(rows_of, VALUES)
    uniform = random.random((count, SLOTS))
    if skew is None:
        numbers: Int64s = (uniform * rows).astype(np.int64)
        return numbers
    # the inverse of the continuous distribution function on [1, rows + 1)
    rank = (1 - uniform * (1 - (rows + 1.0) ** (1 - skew))) ** (1 / (1 - skew))
    nth = np.minimum(rank.astype(np.int64) - 1, rows - 1)
    numbers = nth * 2_654_435_761 % rows  # a prime: all have rows of their own
    return numbers


def summed(graph: onnx.GraphProto, rows: str) -> None:
    """Add nodes that make `out` [batch, fields, dim] of [batch, slots, dim]: sums of the fields with several."""
    fields = range(len(VALUES))
    graph.initializer.extend([numpy_helper.from_array(np.array(VALUES), "values")])
    graph.initializer.extend([numpy_helper.from_array(np.array([1]), "of_field")])
    graph.node.append(helper.make_node("Split", [rows, "values"], [f"rows_{f}" for f in fields], axis=1))
    for f in fields:
        if VALUES[f] > 1:
            graph.node.append(helper.make_node("ReduceSum", [f"rows_{f}", "of_field"], [f"sum_{f}"]))
    parts = [f"sum_{f}" if VALUES[f] > 1 else f"rows_{f}" for f in fields]
    graph.node.append(helper.make_node("Concat", parts, ["out"], axis=1))


def gather_model(rows: int) -> onnx.ModelProto:
    """Of all tables in one, `table`, and row numbers in it, `ids`."""
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "ids"], ["rows"])],
        "gather",
        [
            helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", SLOTS]),
            helper.make_tensor_value_info("table", TensorProto.FLOAT, [rows, DIM]),
        ],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["batch", len(VALUES), DIM])],
    )
    summed(graph, "rows")
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def full_tables(rows: int) -> Floats:
    """All tables in one, [rows, dim], in memory that is really there."""
    return np.ones((rows, DIM), np.float32)


def read_bandwidth(numbers: npt.NDArray[np.float32]) -> float:
    """GB/s at which one thread reads them once: the dot product of one half with the other."""
    flat = numbers.ravel()
    half = flat.size // 2
    seconds = min(repeat(lambda: np.dot(flat[:half], flat[half : 2 * half]), number=1, repeat=7))
    return 2 * half * 4 / seconds / 1e9
