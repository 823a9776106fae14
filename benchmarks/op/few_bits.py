"""The native lookup in memories of fewer bits and with hot rows, against the float16 one, and against another build.

    python -m benchmarks.op.few_bits [--before LIBRARY] [--rounds 15]

LIBRARY is ops/libthimble_ops.so of an older version, for the memories of float32 and float16 that it knows. All have
as many weights. With hot rows half of them are such rows', and half of the ids that are asked for are hot, in no order:
the hardest case for branches. Everything is measured in one process on one thread, in turns, as in
`benchmarks.op.lookup`. Writes results/few_bits.json and .md beside this file.
"""

import argparse
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.device import Device, Turn, turn
from benchmarks.op.lookup import BATCH, DIM, FIELDS, ID_BATCHES, MEMORY, PROCESSOR, RESULTS, TIMED, measure, spec
from benchmarks.record import processor, record
from testing.lookups import lookup_model, random_memory
from testing.stored_lookups import StoredLookup, hot
from thimble.models.hashing import ID_LIMIT
from thimble.ops.library import LIBRARY

CHUNKS = [32, 8, 4]
BITS = [32, 16, 8, 4]
PLACES = MEMORY // 2 // DIM
OF_A_FIELD = PLACES * 15 // 16 // FIELDS  # ids that a directory of so many places holds


def contestants(before: Path | None, device: Device = PROCESSOR) -> dict[str, Turn]:
    random = np.random.default_rng(0)
    own = [random.integers(0, ID_LIMIT, OF_A_FIELD) for _ in range(FIELDS)]
    found = hot(own)
    ids = []
    for _ in range(ID_BATCHES):
        hot_ids = np.stack([random.choice(of_field, BATCH) for of_field in own], axis=1)
        mixed = np.where(random.random(hot_ids.shape) < 0.5, hot_ids, random.integers(0, ID_LIMIT, hot_ids.shape))
        ids.append({"ids": device.value(mixed)})
    out = {"out": device.value(np.zeros((BATCH, FIELDS, DIM), np.float32))}
    turns: dict[str, Turn] = {}
    for chunk in CHUNKS:
        slots = MEMORY // chunk
        for bits in BITS:
            name, plain = f"{bits} bits, Z={chunk}", StoredLookup(bits, chunk, DIM, FIELDS, slots)
            turns[name] = turn(device.session(plain.model(), LIBRARY), ids, out)
            if before and bits >= 16:
                turns[f"{name}, before"] = turn(device.session(plain.model(), before), ids, out)
            shared = slots - found.keys.size * DIM // chunk
            with_hot = StoredLookup(bits, chunk, DIM, FIELDS, shared, found)
            turns[f"{name}, hot rows"] = turn(device.session(with_hot.model(), LIBRARY), ids, out)
    for dtype, bits in ((np.float16, 16), (np.uint8, 8), (np.uint8, 4)):
        of_function = lookup_model(spec("block", 32), random_memory(spec("block", 32), dtype, bits))
        turns[f"{bits} bits, Z=32, function"] = turn(device.session(of_function), ids, out)
    return turns


def page(result: dict[str, Any]) -> str:
    medians, times = result["median_ms"], result["ms"]
    lines = [
        f"Batch {BATCH}, {FIELDS} fields, {DIM} floats each, one thread; memories of {MEMORY:,} weights.",
        f"{result['processor']}, onnxruntime {result['onnxruntime']}; {result['runs']} runs each, taken in turns.",
        "",
        "| | median, ms | fastest, ms | of float16's median | of that without hot rows |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, ms in medians.items():
        chunk = name.split(", ")[1]
        float16 = medians.get(f"16 bits, {chunk}, before", medians[f"16 bits, {chunk}"])
        plain = name.removesuffix(", hot rows")
        cost = f"{ms / medians[plain]:.3f}" if plain != name else ""
        lines.append(f"| {name} | {ms:.2f} | {min(times[name]):.2f} | {ms / float16:.3f} | {cost} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--before", type=Path)
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    times = measure(contestants(given.before), given.rounds)
    result = {
        "processor": processor()["name"],
        "onnxruntime": onnxruntime.__version__,
        "runs": given.rounds * TIMED,
        "median_ms": {name: round(statistics.median(values), 4) for name, values in times.items()},
        "ms": {name: [round(value, 4) for value in values] for name, values in times.items()},
    }
    record(RESULTS, "few_bits", result, page(result))
    print(page(result), end="")


if __name__ == "__main__":
    main()
