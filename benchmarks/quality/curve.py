"""How good a model is for its bytes: full tables, the published sharing, and ours, from 10 to 10,000 times smaller.

    python -m benchmarks.quality.curve criteo-kaggle --rows 300000
    python -m benchmarks.quality.curve criteo-kaggle --rows 1000000 --times 1000 --seeds 1 --rates-of 300000
    python -m benchmarks.quality.curve feed --rows 1000000
    python -m benchmarks.quality.curve movielens --wheel recbole-1.2.1-py3-none-any.whl

Clicks are generated for a preset: with Criteo-Kaggle's fields, or those of a feed, whose users and items have a long
tail. MovieLens-100k is in the wheel of recbole (`pip download --no-deps recbole==1.2.1`); users and items alone, was a
rating a 4 or a 5? Full tables are those of `train --scheme full`: an id that comes at least twice has a row, all others
one together. A seed decides rows, their order, hash constants and first weights, and is the same for all models. For
each model the same TRIALS of learning rates are made at the first size with the first seed; the others use what was
best on validation rows, which also say when training is over. Held-out rows have no say in anything. `--rates-of`
spares the trials: rates are then those that were best with so many rows.

Each run is written down when it is over. One that is stopped goes on where it was, in `--work`, and none is repeated.
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality.curve_table import table
from benchmarks.quality.linear import fitted
from benchmarks.quality.movielens import table as movielens_table
from benchmarks.record import measured_on, record
from benchmarks.training.arrays import ArrayClicks, Shuffled
from thimble.export.artifact.pipeline import export
from thimble.export.clicks.generate import GeneratedClicks
from thimble.export.clicks.rows import Parts, Rows
from thimble.export.training.checkpoint import Checkpoint, load_trained
from thimble.export.training.full_tables import indexed
from thimble.export.training.hot_rows import with_hot_rows
from thimble.export.training.keyed import Keyed
from thimble.export.training.recipe import Recipe, recipe_for
from thimble.export.training.schema import OwnModel, preset_spec
from thimble.export.training.train import train
from thimble.models.quantization import MemoryPrecision
from thimble.models.schemes import embedding_for
from thimble.models.spec import ModelSpec, Precision

RESULTS = Path(__file__).parent / "results"
# Sizes of generated clicks.
PRESETS = {"criteo-kaggle": [1000, 100, 10_000, 10], "feed": [100, 1000, 10]}
CHUNK = 4
HELD_OUT = 200_000
EPOCHS = 3
# Factors of the default rates of the MLPs and of the embeddings.
TRIALS = [(1.0, 1.0), (1.0, 2.0), (1.0, 0.5), (2.0, 1.0)]
Results = list[dict[str, Any]]


@dataclass(frozen=True)
class Model:
    """How ids become embeddings, and how these are stored. `hot`: the hottest ids have rows, as `train` gives them."""

    scheme: str
    precision: MemoryPrecision = "fp32"
    hot: bool = False


LINEAR, FULL = "linear", "full tables"
MODELS = {
    FULL: Model("full"),
    "robe-v1": Model("robe-v1"),
    "block": Model("block"),
    "block, 4 bits": Model("block", "int4"),
    "block, 4 bits, hot rows": Model("block", "int4", hot=True),
}


@dataclass(frozen=True)
class Cell:
    """What is trained: a model so many times smaller than full tables."""

    model: str
    times: int


@dataclass(frozen=True)
class Task:
    """A kind of clicks: their rows by seed, and the model with full tables."""

    parts: Callable[[int], Parts]
    full: ModelSpec
    epochs: int


def generated(preset: str, rows: int) -> Task:
    """A tenth as many rows decide when training is over, and 200,000 are held out."""

    full = preset_spec(preset, None, "full", None, None, 0)
    decided = rows + rows // 10

    def parts(seed: int) -> Parts:
        source = GeneratedClicks(full, decided + HELD_OUT, seed)
        return Parts(Rows(source, 0, rows), Rows(source, decided, source.rows), Rows(source, rows, decided))

    return Task(parts, full, EPOCHS)


def movielens(wheel: Path) -> Task:
    """A random tenth decides when training is over, and a fifth is held out."""
    events = np.array(movielens_table(wheel, "inter"), dtype=np.float64)
    ids, labels = events[:, :2].astype(np.int64), (events[:, 2] >= 4).astype(np.float32)
    tables = {"user": int(ids[:, 0].max()) + 1, "item": int(ids[:, 1].max()) + 1}

    def parts(seed: int) -> Parts:
        order = np.random.default_rng(seed).permutation(len(labels))
        none = np.zeros((len(labels), 0), np.float32)
        source = ArrayClicks(f"MovieLens-100k, seed {seed}", labels[order], none, ids[order])
        first, held_out = len(labels) * 7 // 10, len(labels) * 8 // 10
        training = Shuffled(source, 0, first, seed)
        return Parts(training, Rows(source, held_out, len(labels)), Rows(source, first, held_out))

    full = OwnModel(dense=[], fields={"int": list(tables)}, scheme="full").spec(tables)
    return Task(parts, full, 10)


def compressed(full: ModelSpec, model: Model, times: int, seed: int) -> ModelSpec:
    """The model with so many times fewer bytes for its embeddings."""
    memory = full.full_table_bytes // times
    embedding = embedding_for(model.scheme, full.fields, full.embedding_dim, memory, CHUNK, seed, model.precision)
    changed = {"embedding": embedding, "precision": Precision(memory=model.precision)}
    return ModelSpec.model_validate(dict(full) | changed)


def recipe(task: Task, rows: int, factors: tuple[float, float], seed: int) -> Recipe:
    suited = recipe_for(rows, validated=True, epochs=task.epochs, seed=seed)
    rates = {"dense_lr": suited.dense_lr * factors[0], "sparse_lr": suited.sparse_lr * factors[1]}
    return suited.model_copy(update=rates)


def trained(task: Task, cell: Cell, factors: tuple[float, float], seed: int, work: Path) -> dict[str, Any]:
    """One run, which goes on where it was if it was stopped."""
    parts, model = task.parts(seed), MODELS[cell.model]
    if model.scheme == "full":
        spec, keys = indexed(task.full, parts.training)
    else:
        spec, keys = Keyed(compressed(task.full, model, cell.times, seed))
        if model.hot:
            spec, keys = with_hot_rows(spec, parts.training)
    rates = "-".join(map(str, factors))
    folder = work / f"{cell.model}-{cell.times}-{seed}-{rates}".replace(" ", "-")
    metrics = train(spec, parts, recipe(task, len(parts.training), factors, seed), folder, keys=keys)
    _, progress, _ = Checkpoint(folder).load()
    hashed = isinstance(parts.training.source, GeneratedClicks) and model.scheme != "full"
    cost = int8_cost(folder) if hashed else None
    shutil.rmtree(folder)
    return {
        "embedding_bytes": spec.embedding_bytes,
        "metrics": metrics.model_dump(),
        "validation": [after.model_dump() for after in progress.validation],
        "history": [point.model_dump() for point in progress.history],
        "seconds": progress.seconds,
        "int8_cost": cost,
    }


def int8_cost(folder: Path) -> dict[str, Any]:
    """What int8 MLPs change on held-out rows, beside the memory as it was trained."""
    run = load_trained(folder)
    precision = Precision(memory=run.spec.precision.memory, mlps="int8")
    with tempfile.TemporaryDirectory() as repository:
        cost = export(run, Path(repository), precision=precision, cost_rows=HELD_OUT).spec.precision_cost
    assert cost is not None
    return cost.model_dump()


def linear(task: Task, factors: tuple[float, float], seed: int) -> dict[str, Any]:
    """The model without interactions: as many epochs as are best on validation rows, at most as many as others have."""
    parts = task.parts(seed)
    assert parts.validation is not None
    after = fitted(task.full, parts.training, [parts.validation, parts.held_out], task.epochs, factors)
    _, held_out = min(after, key=lambda metrics: metrics[0].log_loss)
    return {
        "embedding_bytes": 4 * sum(field.rows for field in task.full.fields),
        "metrics": held_out.model_dump(),
        "validation": [validation.model_dump() for validation, _ in after],
    }


def cells(sizes: list[int]) -> Iterator[Cell]:
    yield Cell(LINEAR, 1)
    yield Cell(FULL, 1)
    for times in sizes:
        for model in MODELS:
            if model != FULL:
                yield Cell(model, times)


def best_factors(results: Results, model: str) -> tuple[float, float]:
    """Of the model's trials, the one that was best on validation rows."""
    tried = [result for result in results if result["model"] == model and result["trial"]]
    best = min(tried, key=lambda result: min(after["log_loss"] for after in result["validation"]))
    dense, sparse = best["factors"]
    return dense, sparse


def results_of(file: Path) -> Results:
    runs: Results = json.loads(file.read_text())["runs"] if file.exists() else []
    return runs


def carry_out(task: Task, sizes: list[int], seeds: int, work: Path, file: Path, tuned: Results | None) -> Results:
    """All runs that are not in the file yet, which is written after each of them.

    `tuned` are those of others, by whose trials rates are chosen; without them trials are made.
    """
    results = results_of(file)

    def once(cell: Cell, seed: int, factors: tuple[float, float], trial: bool = False) -> None:
        key = {**asdict(cell), "seed": seed, "factors": list(factors)}
        if any(key.items() <= result.items() for result in results):
            return
        run = linear(task, factors, seed) if cell.model == LINEAR else trained(task, cell, factors, seed, work)
        results.append({**key, "trial": trial, **run})
        record(file.parent, file.stem, {"measured_on": measured_on(), "runs": results}, table(results))
        print(table(results), flush=True)

    if tuned is None:
        for cell in cells(sizes[:1]):
            for factors in TRIALS:
                once(cell, 0, factors, trial=True)
    for seed in range(seeds):
        for cell in cells(sizes):
            once(cell, seed, best_factors(tuned or results, cell.model))
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clicks", choices=[*PRESETS, "movielens"])
    parser.add_argument("--wheel", type=Path, help="recbole's, which holds MovieLens-100k")
    parser.add_argument("--rows", type=int, default=1_000_000, help="generated rows to train on")
    parser.add_argument("--times", help="how many times smaller, with commas")
    parser.add_argument("--seeds", type=int, default=3, help="repeat with so many seeds")
    parser.add_argument("--rates-of", type=int, metavar="ROWS", help="take the rates that were best with so many rows")
    parser.add_argument("--work", type=Path, default=Path("runs/curve"), help="where runs that are stopped are kept")
    arguments = parser.parse_args()
    if arguments.clicks == "movielens" and not arguments.wheel:
        parser.error("movielens needs --wheel")
    if arguments.clicks == "movielens":
        name, task, sizes = "curve-movielens", movielens(arguments.wheel), [10, 100]
    else:
        name, task = f"curve-{arguments.clicks}-{arguments.rows}", generated(arguments.clicks, arguments.rows)
        sizes = PRESETS[arguments.clicks]
    if arguments.times:
        sizes = [int(times) for times in arguments.times.split(",")]
    tuned = results_of(RESULTS / f"curve-{arguments.clicks}-{arguments.rates_of}.json") if arguments.rates_of else None
    carry_out(task, sizes, arguments.seeds, arguments.work / name, RESULTS / f"{name}.json", tuned)


if __name__ == "__main__":
    main()
