"""How fast do rows come out of the cache, against what trains on them, and does memory grow with the file?

    python -m benchmarks.training.cache --rows 400000
    python -m benchmarks.training.cache --rows 50000000 --memory

Generated clicks of Criteo-Kaggle's 13 numbers and 26 fields, and of a small model of one's own (2 numbers, 4 fields),
are written as Parquet, read into a cache, and fetched from it in batches of 2,048: in order, shuffled, and by a
training step that is timed in turns with them. `--memory` notes instead how much anonymous memory the process has while
it writes a cache of the small model's columns and while it reads an epoch from it. Files of more than 100,000 rows
hold the same ones over and over.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from benchmarks.record import measured_on, record
from thimble.export.clicks.cache import cached
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.generate import GeneratedClicks
from thimble.export.clicks.parts import Plan, cached_parts
from thimble.export.clicks.rows import Clicks, Rows
from thimble.export.training.recipe import Recipe
from thimble.export.training.schema import OwnModel, preset_spec
from thimble.export.training.start import started
from thimble.export.training.step import Step
from thimble.models.inputs import Kind
from thimble.models.spec import ModelSpec

RESULTS = Path(__file__).parent / "results"
BATCH = 2048
GENERATED_ROWS = 100_000
ROUNDS = 3
BATCHES = 15
Numbers = dict[str, float]


def own() -> ModelSpec:
    """A small model of one's own columns, with the widths that `train` has by default."""
    fields: dict[Kind, list[str]] = {"int": ["C1", "C2", "C3", "C4"]}
    return OwnModel(name="own", dense=["I1", "I2"], fields=fields, memory=1_000_000, precision="fp32").spec()


def write(path: Path, spec: ModelSpec, rows: int) -> None:
    """Generated clicks with the columns of a spec, as Parquet."""
    criteo = preset_spec("criteo-kaggle", None, "block", None, None, 0)
    names = [field.name for field in criteo.fields]
    several = min(rows, GENERATED_ROWS)
    (clicks,) = GeneratedClicks(criteo, several, 0).read(0, several, several)
    columns: dict[str, Any] = {"label": clicks.labels.astype(np.int8)}
    columns |= {name: clicks.batch.dense[:, criteo.dense.index(name)] for name in spec.dense}
    for field in spec.fields:
        ids = clicks.batch.ids[:, names.index(field.name)]
        columns[field.name] = [f"{number:08x}" for number in ids.tolist()] if field.kind == "hex" else ids
    once = pa.table(columns)
    with pq.ParquetWriter(path, once.schema) as writer:
        for start in range(0, rows, several):
            writer.write_table(once.slice(0, rows - start))


def rows_per_second(batches: Iterator[Clicks], use: Callable[[Clicks], object]) -> float:
    """Of BATCHES batches, the first two left out."""
    next(batches), next(batches)
    start = time.perf_counter()
    for _ in range(BATCHES):
        use(next(batches))
    return BATCHES * BATCH / (time.perf_counter() - start)


def anonymous_bytes() -> int:
    """RssAnon of this process."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


def speed(name: str, spec: ModelSpec, rows: int, folder: Path) -> dict[str, Any]:
    path = folder / f"{name}.parquet"
    write(path, spec, rows)
    start = time.perf_counter()
    cache = cached(FileClicks([path], spec), folder / "cache")
    reading = rows / (time.perf_counter() - start)
    shuffled = cached_parts(cache, None, Plan()).training
    in_order = Rows(shuffled.source, 0, len(shuffled))
    model = started(spec, 0, torch.device("cpu"))
    step = Step(model, Recipe(batch_size=BATCH))
    (batch,) = in_order.first(BATCH).read(BATCH)
    found: dict[str, list[float]] = {"in order": [], "shuffled": [], "step alone": [], "shuffled and trained on": []}
    for epoch in range(ROUNDS):
        found["in order"].append(rows_per_second(in_order.read(BATCH), lambda _: None))
        found["shuffled"].append(rows_per_second(shuffled.read(BATCH, epoch=epoch), lambda _: None))
        found["step alone"].append(rows_per_second(iter([batch] * (BATCHES + 2)), step))
        found["shuffled and trained on"].append(rows_per_second(shuffled.read(BATCH, epoch=epoch), step))
    return {"model": name, "rows": rows, "cache_bytes": cache.size, "rows/s": {"into the cache": [reading], **found}}


def memory(spec: ModelSpec, rows: int, folder: Path) -> dict[str, Any]:
    """The most anonymous memory while the cache is written, and while an epoch is read from it, at each tenth."""
    path = folder / "clicks.parquet"
    write(path, spec, rows)
    seen: list[int] = []

    class Watched(FileClicks):
        def blocks(self, start: int = 0) -> Iterator[Clicks]:
            for clicks in super().blocks(start):
                seen.append(anonymous_bytes())
                yield clicks

    cache = cached(Watched([path], spec), folder / "cache")
    training = cached_parts(cache, None, Plan()).training
    tenth = max(1, len(training) // BATCH // 10)
    epoch = [anonymous_bytes() for number, _ in enumerate(training.read(BATCH)) if number % tenth == 0]
    return {"rows": rows, "while written": seen[:: max(1, len(seen) // 10)], "while read": epoch}


def table(results: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = [
        "| columns | rows | bytes a row | what | rows/s | times a step's |",
        "| --- | ---: | ---: | --- | ---: | ---: |",
    ]
    for result in results:
        step = median(result["rows/s"]["step alone"])
        for what, found in result["rows/s"].items():
            width = result["cache_bytes"] / result["rows"]
            speed = f"{median(found):,.0f} | {median(found) / step:.1f}"
            lines.append(f"| {result['model']} | {result['rows']:,} | {width:.0f} | {what} | {speed} |")
    return "\n".join(lines)


def memory_table(result: dict[str, Any]) -> str:
    """Markdown."""
    lines = [f"Anonymous memory in MB over {result['rows']:,} rows, at each tenth.", "", "| | |", "| --- | --- |"]
    seen = {what: ", ".join(f"{size / 1e6:.0f}" for size in result[what]) for what in ("while written", "while read")}
    return "\n".join([*lines, *(f"| {what} | {sizes} |" for what, sizes in seen.items())])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--memory", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        if arguments.memory:
            found = memory(own(), arguments.rows, Path(name))
            record(RESULTS, "cache-memory", {"measured_on": measured_on(), **found}, memory_table(found))
            print(memory_table(found))
        else:
            kaggle = preset_spec("criteo-kaggle", None, "block", None, None, 0, "fp32")
            specs = {"own": own(), "criteo-kaggle": kaggle}
            results = [speed(model, spec, arguments.rows, Path(name)) for model, spec in specs.items()]
            record(RESULTS, "cache", {"measured_on": measured_on(), "models": results}, table(results))
            print(table(results))


if __name__ == "__main__":
    main()
