"""Is a click file read faster than the trainer takes its rows, form by form, and what do more threads bring?

    python -m benchmarks.training.keeping_up

Generated clicks of Criteo-Kaggle's 13 numbers and 26 fields, and of a small model of one's own (2 numbers, 4 fields)
with the widths that `train` has by default, are written in every form. In each of `--rounds` rounds every file is read
once by one thread, and by `--threads`, and right after it a batch of 2,048 rows is trained on several times by one
thread. Reading by one thread is timed by the processor, training and several threads by the clock.
"""

import argparse
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import torch

from benchmarks.record import measured_on, record
from benchmarks.training.cache import BATCH, RESULTS, own
from benchmarks.training.readers import FORMS, SPEC, Row, generated
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.rows import Clicks
from thimble.export.training.recipe import Recipe
from thimble.export.training.schema import preset_spec
from thimble.export.training.start import started
from thimble.export.training.step import Step
from thimble.models.spec import ModelSpec

STEPS = 10


def own_rows(rows: list[Row]) -> list[Row]:
    """The label, the first two numbers and the first four fields, whose tokens become integers below a million."""
    fields = 1 + len(SPEC.dense)
    return [[*row[:3], *(str(int(token or "0", 16) % 1_000_000) for token in row[fields : fields + 4])] for row in rows]


def reading(path: Path, spec: ModelSpec, threads: int) -> tuple[float, float]:
    """Seconds of the processor and of the clock."""
    before = pa.cpu_count()
    pa.set_cpu_count(threads)
    source = FileClicks([path], spec)
    used, start = time.process_time(), time.perf_counter()
    for _ in source.blocks():
        pass
    found = time.process_time() - used, time.perf_counter() - start
    pa.set_cpu_count(before)
    return found


def training(step: Step, batch: Clicks) -> float:
    """Rows a second."""
    start = time.perf_counter()
    for _ in range(STEPS):
        step(batch)
    return STEPS * BATCH / (time.perf_counter() - start)


def measured(name: str, spec: ModelSpec, rows: list[Row], folder: Path, rounds: int, threads: int) -> dict[str, Any]:
    paths = {form: folder / f"{name}-{form}" for form in FORMS}
    for form, write in FORMS.items():
        write(paths[form], spec, rows)
    step = Step(started(spec, 0, torch.device("cpu")), Recipe(batch_size=BATCH))
    batch = next(FileClicks([paths["Parquet"]], spec).read(0, BATCH, BATCH))
    training(step, batch)  # what is done once
    found: dict[str, dict[str, list[float]]] = {
        form: {"one": [], "one by the clock": [], "several": [], "step": []} for form in FORMS
    }
    for number in range(rounds):
        for form, path in paths.items():
            used, taken = reading(path, spec, 1)
            _, together = reading(path, spec, threads)
            found[form]["one"].append(len(rows) / used)
            found[form]["one by the clock"].append(len(rows) / taken)
            found[form]["several"].append(len(rows) / together)
            found[form]["step"].append(training(step, batch))
        print(f"{name}: round {number + 1} of {rounds}", flush=True)
    return {"model": name, "rows": len(rows), "rows/s": found}


def table(results: list[dict[str, Any]], threads: int) -> str:
    """Markdown."""
    lines = [
        f"| columns | form | read, rows/s of one core | a step takes | times a step's | {threads} threads to one |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for result in results:
        for form, found in result["rows/s"].items():
            times = median(one / step for one, step in zip(found["one"], found["step"], strict=True))
            pairs = zip(found["several"], found["one by the clock"], strict=True)
            speeds = f"{median(found['one']):,.0f} | {median(found['step']):,.0f} | {times:.1f}"
            lines.append(f"| {result['model']} | {form} | {speeds} | {median(a / b for a, b in pairs):.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = generated(args.rows)
    with TemporaryDirectory() as name:
        models = {
            "own": (own(), own_rows(rows)),
            "criteo-kaggle": (preset_spec("criteo-kaggle", None, "block", None, None, 0, "fp32"), rows),
        }
        results = [
            measured(model, spec, some, Path(name), args.rounds, args.threads) for model, (spec, some) in models.items()
        ]
    shown = table(results, args.threads)
    print(shown)
    found = {"threads": args.threads, "measured_on": measured_on(), "models": results}
    record(RESULTS, "keeping_up", found, shown)


if __name__ == "__main__":
    main()
