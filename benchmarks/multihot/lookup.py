"""Rows of 214 ids: the pooled lookup against the same op that writes all rows, and against full tables.

    OMP_NUM_THREADS=1 python -m benchmarks.multihot.lookup [--table-gb 8] [--rounds 30]

MLPerf's 26 fields with sums of 128 numbers, 10 MB of float32, of float16 and of 4 bits in chunks of 32, one thread, and
batches of 1, 64 and 2048 rows. Contestants:

- pooled: thimble::HashLookup with bags;
- rows: the same op with 214 single-valued fields, then ReduceSum for each field, in ONNX Runtime;
- EmbeddingBag: torch's on full tables, all fields in one call on one joined table;
- Gather: the same tables in ONNX Runtime, then ReduceSum for each field.

The full tables are cut to --table-gb, half as much where there is not twice as much free memory. ids are uniform, or
Zipf with exponent 1.2, and no contestant sees the same rows twice in a while: there are 16,384. Everything is measured
in one process, in turns: every round runs each contestant once untimed, then several times. It takes some
2 minutes. Writes results/lookup.json and .md beside this file.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import psutil
import torch

from benchmarks.device import Device
from benchmarks.multihot.tables import (
    DIM,
    SLOTS,
    VALUES,
    drawn,
    fitting_rows,
    full_tables,
    gather_model,
    read_bandwidth,
    summed,
)
from benchmarks.record import processor, record
from testing.lookups import hashed, lookup_model, random_memory
from testing.samples import small_spec
from thimble.models.bags import Bag
from thimble.models.hashing import Floats, Int64s
from thimble.ops.library import LIBRARY

RESULTS = Path(__file__).parent / "results"
PROCESSOR = Device("cpu")
FIELDS, CHUNK, MEMORY_BYTES = len(VALUES), 32, 10_000_000
BITS = {"fp32": 32, "fp16": 16, "int4": 4}
BATCHES = {1: 20, 64: 4, 2048: 1}  # rows, and how often each contestant is timed in a round
SKEWS = {"uniform": None, "Zipf 1.2": 1.2}
ID_ROWS = 1 << 14
GOAL = 0.5

Run = Callable[[], Any]
Contestant = Callable[[Int64s], Run]
"""Takes the ids of a batch, and gives what is to be timed."""


def models(bits: int) -> dict[str, onnx.ModelProto]:
    """The same numbers pooled by the op, and written as rows that are then added up."""
    sizes: dict[str, Any] = {"dim": DIM, "chunk": CHUNK, "memory": MEMORY_BYTES * 8 // bits // CHUNK * CHUNK}
    bags = [Bag(values=values, pooling="sum") if values > 1 else None for values in VALUES]
    pooled, each = small_spec(kinds=["int"] * FIELDS, bags=bags, **sizes), small_spec(kinds=["int"] * SLOTS, **sizes)
    memory = random_memory(pooled, {32: np.float32, 16: np.float16}.get(bits, np.uint8), bits)
    if bits == 16:  # of those of every kind, what is as large as weights are
        memory = random_memory(pooled).astype(np.float16)
    constants = np.repeat(hashed(pooled).hash_map(DIM).constants, VALUES, axis=1)
    rows = lookup_model(each, memory, body=False, constants=constants)
    rows.graph.node[0].output[0] = "rows"
    rows.graph.output[0].type.tensor_type.shape.dim[1].dim_value = FIELDS
    summed(rows.graph, "rows")
    return {"pooled": lookup_model(pooled, memory, body=False), "rows": rows}


def onnx_run(session: onnxruntime.InferenceSession, batch: int, table: Floats | None, found: Floats) -> Contestant:
    """From and into memory that is kept."""
    ids = np.zeros((batch, SLOTS), np.int64)
    binding = session.io_binding()
    binding.bind_ortvalue_input("ids", PROCESSOR.value(ids))
    if table is not None:
        binding.bind_ortvalue_input("table", PROCESSOR.value(table))
    binding.bind_ortvalue_output("out", PROCESSOR.value(found))

    def given(some: Int64s) -> Run:
        np.copyto(ids, some)
        return lambda: session.run_with_iobinding(binding)

    return given


def torch_run(table: Floats, batch: int) -> Contestant:
    weight = torch.from_numpy(table)
    starts = np.cumsum([0, *VALUES[:-1]])
    offsets = torch.from_numpy((np.arange(batch)[:, None] * SLOTS + starts).ravel())

    def given(some: Int64s) -> Run:
        ids = torch.from_numpy(some).reshape(-1)
        return lambda: torch.nn.functional.embedding_bag(ids, weight, offsets, mode="sum")

    return given


def contestants(table: Floats, batch: int) -> dict[str, Contestant]:
    runs: dict[str, Contestant] = {}
    ids = drawn([1000] * FIELDS, batch, None, seed=1) + 1
    for precision, bits in BITS.items():
        both = {name: np.zeros((batch, FIELDS, DIM), np.float32) for name in ("pooled", "rows")}
        for name, model in models(bits).items():
            runs[f"{name} {precision}"] = onnx_run(PROCESSOR.session(model, LIBRARY), batch, None, both[name])
            runs[f"{name} {precision}"](ids)()
        assert np.allclose(both["pooled"], both["rows"], atol=1e-4), precision
    runs["EmbeddingBag"] = torch_run(table, batch)
    out = np.zeros((batch, FIELDS, DIM), np.float32)
    runs["Gather"] = onnx_run(PROCESSOR.session(gather_model(len(table))), batch, table, out)
    return runs


def measure(table: Floats, rows_of: list[int], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Microseconds a row of every timed run, by batch and ids, and by contestant."""
    first_rows = np.repeat(np.cumsum([0, *rows_of[:-1]]), VALUES)
    ids = {name: drawn(rows_of, ID_ROWS, skew, seed=0) for name, skew in SKEWS.items()}
    # rows of the joined table, and what is hashed: never 0, which in a bag is no id
    asked = {name: (numbers + first_rows, numbers + 1) for name, numbers in ids.items()}
    runs = {batch: contestants(table, batch) for batch in BATCHES}
    times: dict[str, dict[str, list[float]]] = {
        f"{batch} rows, {name}": {contestant: [] for contestant in runs[batch]} for batch in BATCHES for name in SKEWS
    }
    at = 0
    for _ in range(rounds):
        for batch, timed in BATCHES.items():
            for name, (of_tables, of_memory) in asked.items():
                for contestant, prepared in runs[batch].items():
                    given = of_tables if contestant in ("EmbeddingBag", "Gather") else of_memory
                    for i in range(timed + 1):
                        at = at + batch if at + 2 * batch <= ID_ROWS else 0
                        run = prepared(given[at : at + batch])
                        began = time.perf_counter()
                        run()
                        if i:
                            took = (time.perf_counter() - began) * 1e6 / batch
                            times[f"{batch} rows, {name}"][contestant].append(took)
    return times


def bytes_a_row(contestant: str) -> int:
    """That must be read and written, once each: ids, chunks in whole cache lines, embeddings, and rows if there are."""
    name, _, precision = contestant.partition(" ")
    lines = max(CHUNK * BITS.get(precision, 32) // 8, 64) * (DIM // CHUNK)
    rows = 2 * SLOTS * DIM * 4 if name in ("rows", "Gather") else 0
    return SLOTS * (8 + lines) + rows + FIELDS * DIM * 4


def page(result: dict[str, Any]) -> str:
    cached, large = result["read_gb_s"]["10 MB"], result["read_gb_s"]["tables"]
    lines = [
        f"MLPerf's {SLOTS} ids a row in {FIELDS} fields, summed, {DIM} numbers each; one thread. Memories of 10 MB in "
        f"chunks of {CHUNK}, full tables of {result['table_gb']:g} GB.",
        f"{result['processor']}, onnxruntime {result['onnxruntime']}, torch {result['torch']}; medians over "
        f"{result['rounds']} rounds, taken in turns. One thread reads {cached:.1f} GB/s of 10 MB over and over, and "
        f"{large:.1f} GB/s of the tables, in order.",
    ]
    for case, medians in result["median_us_a_row"].items():
        lines += [
            "",
            f"**{case}**",
            "",
            "| | us a row | kB to move a row | reading as much in order, of the time | of rows | of EmbeddingBag "
            "| of Gather |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        ]
        for name, took in medians.items():
            moved = bytes_a_row(name)
            at_best = moved / (large if name in ("EmbeddingBag", "Gather") else cached) / 1e3
            others = (name.replace("pooled", "rows"), "EmbeddingBag", "Gather")
            ratios = " | ".join(f"{took / medians[other]:.3f}" if "pooled" in name else "" for other in others)
            lines.append(f"| {name} | {took:.2f} | {moved / 1e3:.1f} | {at_best / took:.2f} | {ratios} |")
    worst = max(
        medians[f"pooled {it}"] / medians[f"rows {it}"] for medians in result["median_us_a_row"].values() for it in BITS
    )
    return "\n".join([*lines, "", f"Pooled against rows: at most {worst:.3f}, and {GOAL} is the goal."]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--table-gb", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=30)
    given = parser.parse_args()
    torch.set_num_threads(1)
    free = psutil.virtual_memory().available / 1e9
    table_gb = given.table_gb if free >= 2 * given.table_gb else given.table_gb / 2
    rows_of = fitting_rows(table_gb)
    table = full_tables(sum(rows_of))
    read = {"10 MB": read_bandwidth(np.ones(MEMORY_BYTES // 4, np.float32)), "tables": read_bandwidth(table)}
    with torch.inference_mode():
        times = measure(table, rows_of, given.rounds)
    result = {
        "processor": processor()["name"],
        "onnxruntime": onnxruntime.__version__,
        "torch": torch.__version__,
        "rounds": given.rounds,
        "table_gb": table_gb,
        "read_gb_s": {name: round(speed, 2) for name, speed in read.items()},
        "median_us_a_row": {
            case: {name: round(statistics.median(values), 3) for name, values in of_case.items()}
            for case, of_case in times.items()
        },
        "us_a_row": {
            case: {name: [round(value, 2) for value in values] for name, values in of_case.items()}
            for case, of_case in times.items()
        },
    }
    record(RESULTS, "lookup", result, page(result))
    print(page(result), end="")


if __name__ == "__main__":
    main()
