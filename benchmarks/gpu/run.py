"""Everything that only a GPU can settle, in one run of a few minutes. Results for a GPU are not recorded yet.

    make .venv/dev ops
    .venv/bin/python -m benchmarks.gpu.run [--rounds 20] [--full-table GB]

Needs an NVIDIA GPU; onnxruntime-gpu[cuda,cudnn] 1.31.1 in place of onnxruntime, which make installs where nvidia-smi
answers and whose CUDA libraries `onnxruntime.preload_dlls()` finds; nvcc, CMake and a C++20 compiler for the kernel.

- Equality: the native lookup against `models.hashing`, bit for bit; every scheme, float32 and float16, random and
  extreme ids. The function, too.
- Placement: nodes of the demo and of the same model in float32 that do not run on the GPU, by operator.
- Speed: each batch size with the native lookup and with the function, with and without CUDA graphs, for the demo (int8)
  and for untrained models of its shape in fp32 and fp16 (a file's precision: the arithmetic of fp16 is float32).
- With --full-table GB, the lookup alone beside a Gather on a table of so many gigabytes on the same card.

Writes results/CHIP.json and .md beside this file, and exits with status 1 if a lookup was wrong. `--device cpu` runs
all but CUDA graphs on one thread of the processor: a rehearsal, and something to compare a GPU with. Large batches are
slow there, so give it `--rounds 3`.
"""

import argparse
import re
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.device import Device
from benchmarks.gpu.equality import equality
from benchmarks.gpu.machine import facts, native_library
from benchmarks.gpu.placement import placement
from benchmarks.gpu.report import page
from benchmarks.gpu.speed import speed
from benchmarks.op.lookup import TIMED, contestants, measure
from benchmarks.record import record
from testing.artifacts import write_artifact
from testing.data import DEMO
from thimble.models.presets import preset
from thimble.models.spec import Precision

RESULTS = Path(__file__).parent / "results"
FULL_TABLE_BATCHES = [2048, 16384]


def models(folder: Path) -> dict[str, Path]:
    """The demo's shape in each precision. Weights do not change what a batch takes, so two of them are random."""
    untrained = {"fp32": Precision(), "fp16": Precision(memory="fp16", mlps="fp16")}
    made = {
        name: write_artifact(preset("demo").model_copy(update={"precision": precision}), folder, name)
        for name, precision in untrained.items()
    }
    return made | {"int8": DEMO}


def full_table(device: Device, table_gb: float, rounds: int) -> dict[str, Any]:
    """Medians by batch size and contestant."""
    medians = {
        str(size): {
            name: round(statistics.median(times), 4)
            for name, times in measure(contestants(table_gb, device, size), rounds).items()
        }
        for size in FULL_TABLE_BATCHES
    }
    return {"table_gb": table_gb, "median_ms": medians}


def save(result: dict[str, Any]) -> None:
    """Write what is known by now: a later part may fail on a card that nobody has tried."""
    name = re.sub(r"[^a-z0-9]+", "-", result["machine"]["chip"].lower()).strip("-")
    record(RESULTS, name, result, page(result))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--full-table", type=float, metavar="GB", help="leave the card 10 GB beside it")
    given = parser.parse_args()
    device = Device(given.device)
    library = native_library(device)
    result: dict[str, Any] = {"machine": facts(device), "runs": given.rounds * TIMED}
    with tempfile.TemporaryDirectory() as folder:
        files = models(Path(folder))
        result["equality"] = equality(device, library)
        save(result)
        result["placement"] = {
            f"{name} {lookup}": placement(device, files[name], form)
            for name in ("int8", "fp32")
            for lookup, form in (("native", library), ("function", None))
        }
        save(result)
        result["speed"] = speed(device, files, library, given.rounds)
        save(result)
    if given.full_table:
        result["full_table"] = full_table(device, given.full_table, given.rounds)
        save(result)
    print(page(result), end="")
    sys.exit(bool(result["equality"]["wrong"]))


if __name__ == "__main__":
    main()
