"""The native lookup against the same model's function, a full table's Gather, and memcpy of as many bytes.

    python -m benchmarks.op.lookup [--table-gb 8] [--rounds 15]

Everything is measured in one process on one thread, in turns: every round runs each contestant once untimed, then three
times. ids are uniform, so hardly a row is read twice. The table is in anonymous memory (where Linux may use huge pages,
in the table's favour), all of it touched. Writes results/lookup.json and .md beside this file.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper

from models.spec import ModelSpec
from service.native import LIBRARY
from tests.lookups import lookup_model, random_memory
from tests.samples import small_spec

BATCH, FIELDS, DIM, MEMORY = 2048, 26, 128, 2_621_440
SHAPE = (BATCH, FIELDS, DIM)
ID_BATCHES, TIMED = 32, 3
RESULTS = Path(__file__).parent / "results"
GOALS = [
    ("block Z=32 native", "block Z=32 function", 0.5),
    ("robe-v1 Z=32 native", "robe-v1 Z=32 function", 0.1),
    ("robe-v1 Z=1 native", "robe-v1 Z=1 function", 0.15),
    ("block Z=32 native", "Gather", 0.6),
    ("block Z=32 native", "memcpy", 1.5),
]

Turn = Callable[[int], None]
Int64s = npt.NDArray[np.int64]


def turn(model: onnx.ModelProto, ids: list[Int64s], library: Path | None, **inputs: onnxruntime.OrtValue) -> Turn:
    """Runs a model on the i-th ids, into memory that is kept."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    if library:
        options.register_custom_ops_library(str(library))
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    out = onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(SHAPE, np.float32))
    bindings = []
    for batch in ids:
        binding = session.io_binding()
        binding.bind_cpu_input("ids", batch)
        for name, value in inputs.items():
            binding.bind_ortvalue_input(name, value)
        binding.bind_ortvalue_output("out", out)
        bindings.append(binding)
    return lambda i: session.run_with_iobinding(bindings[i % ID_BATCHES])


def gather_model(rows: int) -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "ids"], ["out"])],
        "gather",
        [
            helper.make_tensor_value_info("ids", TensorProto.INT64, [BATCH, FIELDS]),
            helper.make_tensor_value_info("table", TensorProto.FLOAT, [rows, DIM]),
        ],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, SHAPE)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def spec(scheme: str, chunk: int) -> ModelSpec:
    return small_spec(scheme, kinds=["int"] * FIELDS, dim=DIM, chunk=chunk, memory=MEMORY)


def contestants(table_gb: float) -> dict[str, Turn]:
    random = np.random.default_rng(0)
    ids = [random.integers(0, 1 << 60, (BATCH, FIELDS)) for _ in range(ID_BATCHES)]
    turns: dict[str, Turn] = {}
    for scheme, chunk in [("block", 32), ("robe-v1", 32), ("robe-v1", 1)]:
        model = lookup_model(spec(scheme, chunk), random_memory(spec(scheme, chunk)))
        turns[f"{scheme} Z={chunk} native"] = turn(model, ids, LIBRARY)
        turns[f"{scheme} Z={chunk} function"] = turn(model, ids, None)
    rows = int(table_gb * 1e9) // (DIM * 4)
    table = np.ones((rows, DIM), np.float32)
    value = onnxruntime.OrtValue.ortvalue_from_numpy(table)
    turns["Gather"] = turn(gather_model(rows), [batch % rows for batch in ids], None, table=value)
    source, target = np.ones(SHAPE, np.float32), np.ones(SHAPE, np.float32)
    turns["memcpy"] = lambda _: np.copyto(target, source)
    return turns


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


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


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
    times = measure(contestants(given.table_gb), given.rounds)
    result = {
        "processor": processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "onnxruntime": onnxruntime.__version__,
        "table_gb": given.table_gb,
        "runs": given.rounds * TIMED,
        "median_ms": {name: round(statistics.median(values), 4) for name, values in times.items()},
        "ms": {name: [round(value, 4) for value in values] for name, values in times.items()},
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "lookup.json").write_text(json.dumps(result, indent=1) + "\n")
    (RESULTS / "lookup.md").write_text(page(result))
    print(page(result), end="")


if __name__ == "__main__":
    main()
