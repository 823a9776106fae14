"""Are the default batch and learning rates good ones: what others give on the same rows, with the same seeds.

    python -m benchmarks.training.recipe recbole-1.2.1-py3-none-any.whl
    python -m benchmarks.training.recipe recbole-1.2.1-py3-none-any.whl --larger

The first ratings of MovieLens-100k (in the wheel; 4 or 5 is a click), shuffled and in order of time, and clicks of our
own with Criteo-Kaggle's columns. Compressed models and full tables get the same trials. Validation rows say when
training is over, as they do by default.

With `--larger` all 100,000 ratings in order of time, and 100,000 and 500,000 clicks of our own with small MLPs: the
default rule against half and twice its batch, each with the rates that follow from it, and against half and twice its
rates.
"""

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.quality.movielens import ratings
from benchmarks.record import measured_on, record
from benchmarks.training.arrays import ArrayClicks, Shuffled
from benchmarks.training.sampling import model
from thimble.export.clicks.generate import GeneratedClicks
from thimble.export.clicks.number_samples import NumberSamples
from thimble.export.clicks.rows import Parts, Rows
from thimble.export.training.checkpoint import Checkpoint
from thimble.export.training.recipe import Recipe, recipe_for
from thimble.export.training.schema import OwnModel, preset_spec
from thimble.export.training.train import train
from thimble.models.spec import ModelSpec
from thimble.models.transforms import learnt

RESULTS = Path(__file__).parent / "results"
SEEDS = 3
RATINGS, GENERATED_ROWS = 30_000, 20_000
GENERATED = "generated"
SCHEMES = ["block", "full"]
GENERATED_SCHEMES = ["block"]  # the full tables of these columns have 2 GB
# Factors of the default's batch, of its rate for the MLPs and of its rate for the embeddings.
TRIALS = [(1, 1, 1), (1, 0.5, 0.5), (1, 2, 2), (1, 1, 4), (4, 1, 1)]
LARGER = [100_000, 500_000]
# A batch of half or twice the size has the rates that the rule gives it.
LARGER_TRIALS = [(1, 1, 1), (1, 0.5, 0.5), (1, 2, 2), (0.5, 0.5**0.25, 2**0.5), (2, 2**0.25, 0.5**0.5)]


class Rowset(NamedTuple):
    """Rows in order, and whether they are shuffled to be trained on."""

    name: str
    clicks: ArrayClicks
    shuffled: bool


@dataclass(frozen=True)
class Trial:
    rows: Rowset
    scheme: str
    factors: tuple[float, float, float]


def rowsets(wheel: Path) -> Iterator[Rowset]:
    dense, ids, labels = ratings(wheel)
    ordered = ArrayClicks("MovieLens, by time", labels[:RATINGS], dense[:RATINGS], ids[:RATINGS])
    order = np.random.default_rng(0).permutation(RATINGS)
    shuffled = ArrayClicks("MovieLens, shuffled", labels[order], dense[order], ids[order])
    yield Rowset("MovieLens, shuffled", shuffled, True)
    yield Rowset("MovieLens, by time", ordered, False)
    source = GeneratedClicks(preset_spec("criteo-kaggle", None, "block", None, None, 0), GENERATED_ROWS, 0)
    (made,) = source.read(0, GENERATED_ROWS, GENERATED_ROWS)
    yield Rowset(GENERATED, ArrayClicks(GENERATED, made.labels, made.batch.dense, made.batch.ids), True)


def larger_rowsets(wheel: Path) -> Iterator[Rowset]:
    dense, ids, labels = ratings(wheel)
    yield Rowset("MovieLens, all by time", ArrayClicks("MovieLens, all by time", labels, dense, ids), False)
    for count in LARGER:
        (made,) = GeneratedClicks(preset_spec("criteo-kaggle", None, "block", None, None, 0), count, 0).read(
            0, count, count
        )
        name = f"{GENERATED}, {count:,}"
        yield Rowset(name, ArrayClicks(name, made.labels, made.batch.dense, made.batch.ids), True)


def parts(rows: Rowset, seed: int) -> Parts:
    """The last tenth is held out, and of the others the last twentieth decides when training is over."""
    held_out = len(rows.clicks.labels) * 9 // 10
    validation = held_out * 19 // 20
    training = Shuffled(rows.clicks, 0, validation, seed) if rows.shuffled else Rows(rows.clicks, 0, validation)
    return Parts(training, Rows(rows.clicks, held_out, rows.clicks.count()), Rows(rows.clicks, validation, held_out))


def spec_of(rows: Rowset, scheme: str, trained_on: int, seed: int) -> ModelSpec:
    if rows.name == GENERATED:
        return preset_spec("criteo-kaggle", None, scheme, None, None, seed)
    if rows.name.startswith(GENERATED):
        return model(seed)
    numbers = NumberSamples(rows.clicks.dense.shape[1])
    numbers.add(rows.clicks.dense[:trained_on])
    names = [f"number {i}" for i in range(rows.clicks.dense.shape[1])]
    own = OwnModel(dense=names, fields={"int": ["user", "item"]}, scheme=scheme, seed=seed)
    ids = {name: int(column.max()) + 1 for name, column in zip(own.fields["int"], rows.clicks.ids.T, strict=True)}
    return own.spec(ids, learnt("quantiles", numbers.samples()))


def scaled(recipe: Recipe, factors: tuple[float, float, float]) -> Recipe:
    batch, dense, sparse = factors
    update = {
        "batch_size": round(recipe.batch_size * batch),
        "dense_lr": recipe.dense_lr * dense,
        "sparse_lr": recipe.sparse_lr * sparse,
    }
    return recipe.model_copy(update=update)


def tried(trial: Trial, seed: int) -> dict[str, Any]:
    rows = parts(trial.rows, seed)
    spec = spec_of(trial.rows, trial.scheme, len(rows.training), seed)
    recipe = scaled(recipe_for(len(rows.training), validated=True, seed=seed), trial.factors)
    with tempfile.TemporaryDirectory() as folder:
        metrics = train(spec, rows, recipe, Path(folder))
        epochs = Checkpoint(Path(folder)).load()[1].epoch
    return {
        "rows": trial.rows.name,
        "scheme": trial.scheme,
        "recipe": recipe.model_dump(),
        "factors": trial.factors,
        "epochs": epochs,
        "metrics": metrics.model_dump(),
    }


def table(results: list[dict[str, Any]]) -> str:
    """Markdown: means over the seeds."""
    lines = ["| rows | embeddings | batch | MLPs' rate | embeddings' rate | log loss | AUC | of the seeds | epochs |"]
    lines.append("| --- | --- | ---: | ---: | ---: | ---: | ---: | --- | --- |")
    for _, group in groupby(results, lambda r: (r["rows"], r["scheme"], r["factors"])):
        runs = list(group)
        recipe, aucs = runs[0]["recipe"], [run["metrics"]["auc"] for run in runs]
        loss = np.mean([run["metrics"]["log_loss"] for run in runs])
        mark = "**" if set(runs[0]["factors"]) == {1} else ""
        lines.append(
            f"| {runs[0]['rows']} | {runs[0]['scheme']} | {mark}{recipe['batch_size']}{mark} | "
            f"{recipe['dense_lr']:.2g} | {recipe['sparse_lr']:.2g} | {loss:.4f} | {np.mean(aucs):.4f} | "
            f"{', '.join(f'{auc:.4f}' for auc in aucs)} | {', '.join(str(run['epochs']) for run in runs)} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path, help="recbole's, which holds MovieLens-100k")
    parser.add_argument("--larger", action="store_true", help="more rows, compressed models alone")
    asked = parser.parse_args()
    results: list[dict[str, Any]] = []
    for rows in larger_rowsets(asked.wheel) if asked.larger else rowsets(asked.wheel):
        alone = asked.larger or rows.name == GENERATED
        for scheme in GENERATED_SCHEMES if alone else SCHEMES:
            for factors in LARGER_TRIALS if asked.larger else TRIALS:
                results += [tried(Trial(rows, scheme, factors), seed) for seed in range(SEEDS)]
                print(table(results).splitlines()[-1], flush=True)
                name = "recipe-larger" if asked.larger else "recipe"
                record(RESULTS, name, {"measured_on": measured_on(), "runs": results}, table(results))


if __name__ == "__main__":
    main()
