"""The native lookup against the same model's function, a full table's Gather, and memcpy of as many bytes.

    python -m benchmarks.op.lookup [--table-gb 8] [--rounds 15]

Everything is measured in one process on one thread, in turns: every round runs each contestant once untimed, then three
times. ids are uniform, so hardly a row is read twice. The table is in anonymous memory (where Linux may use huge pages,
in the table's favour), all of it touched. Writes results/lookup.json and .md beside this file.
"""

import argparse
import os
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from benchmarks.device import Device, Turn, turn
from benchmarks.record import processor, record
from testing.lookups import lookup_model, random_memory
from testing.samples import small_spec
from thimble.models.spec import ModelSpec
from thimble.ops.library import LIBRARY

BATCH, FIELDS, DIM, MEMORY = 2048, 26, 128, 2_621_440
SHAPE = (BATCH, FIELDS, DIM)
PROCESSOR = Device("cpu")
ID_BATCHES, TIMED = 32, 3
RESULTS = Path(__file__).parent / "results"
GOALS = [
    ("block Z=32 native", "block Z=32 function", 0.5),
    ("robe-v1 Z=32 native", "robe-v1 Z=32 function", 0.1),
    ("robe-v1 Z=1 native", "robe-v1 Z=1 function", 0.15),
    ("block Z=32 native", "Gather", 0.6),
    ("block Z=32 native", "memcpy", 1.5),
]


def gather_model(rows: int) -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "ids"], ["out"])],
        "gather",
        [
            helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", FIELDS]),
            helper.make_tensor_value_info("table", TensorProto.FLOAT, [rows, DIM]),
        ],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["batch", FIELDS, DIM])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def spec(scheme: str, chunk: int) -> ModelSpec:
    return small_spec(scheme, kinds=["int"] * FIELDS, dim=DIM, chunk=chunk, memory=MEMORY)


def contestants(table_gb: float, device: Device = PROCESSOR, batch: int = BATCH) -> dict[str, Turn]:
    random = np.random.default_rng(0)
    numbers = [random.integers(0, 1 << 60, (batch, FIELDS)) for _ in range(ID_BATCHES)]
    ids = [{"ids": device.value(some)} for some in numbers]
    out = {"out": device.value(np.zeros((batch, FIELDS, DIM), np.float32))}
    turns: dict[str, Turn] = {}
    for scheme, chunk in [("block", 32), ("robe-v1", 32), ("robe-v1", 1)]:
        model = lookup_model(spec(scheme, chunk), random_memory(spec(scheme, chunk)))
        turns[f"{scheme} Z={chunk} native"] = turn(device.session(model, LIBRARY), ids, out)
        turns[f"{scheme} Z={chunk} function"] = turn(device.session(model), ids, out)
    rows = int(table_gb * 1e9) // (DIM * 4)
    table = device.table(rows, DIM)
    indices = [{"ids": device.value(some % rows), "table": table} for some in numbers]
    turns["Gather"] = turn(device.session(gather_model(rows)), indices, out)
    return turns


def memcpy() -> Turn:
    source, target = np.ones(SHAPE, np.float32), np.ones(SHAPE, np.float32)
    return lambda _: np.copyto(target, source)


def measure(turns: dict[str, Turn], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of every timed run."""
    times: dict[str, list[float]] = {name: [] for name in turns}
    for start in range(0, rounds * (TIMED + 1), TIMED + 1):
        for name, run in turns.items():
            run(start)
            for i in range(start + 1, start + 1 + TIMED):
                began = time.perf_counter()
                run(i)
                times[name].append((time.perf_counter() - began) * 1e3)
    return times


def page(result: dict[str, Any]) -> str:
    medians = result["median_ms"]
    lines = [
        f"Batch {BATCH}, {FIELDS} fields, {DIM} floats each ({np.prod(SHAPE) * 4 / 1e6:.0f} MB out), one thread; "
        f"memory of {MEMORY * 4 / 1e6:.0f} MB, table of {result['table_gb']:g} GB.",
        f"{result['processor']}, {result['cores']} cores, onnxruntime {result['onnxruntime']}; medians of "
        f"{result['runs']} runs, taken in turns.",
        "",
        "| | median, ms | fastest, ms |",
        "| --- | ---: | ---: |",
        *(f"| {name} | {ms:.2f} | {min(result['ms'][name]):.2f} |" for name, ms in medians.items()),
        "",
        "| compared | ratio of medians | goal |",
        "| --- | ---: | ---: |",
        *(f"| {one} / {other} | {medians[one] / medians[other]:.3f} | {goal:g} |" for one, other, goal in GOALS),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--table-gb", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    times = measure(contestants(given.table_gb) | {"memcpy": memcpy()}, given.rounds)
    result = {
        "processor": processor()["name"],
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "onnxruntime": onnxruntime.__version__,
        "table_gb": given.table_gb,
        "runs": given.rounds * TIMED,
        "median_ms": {name: round(statistics.median(values), 4) for name, values in times.items()},
        "ms": {name: [round(value, 4) for value in values] for name, values in times.items()},
    }
    record(RESULTS, "lookup", result, page(result))
    print(page(result), end="")


if __name__ == "__main__":
    main()
