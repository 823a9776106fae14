"""What small files need: how many rows for validation, and rows to fit the scores' mean to.

    python -m benchmarks.training.small_files recbole-1.2.1-py3-none-any.whl

Ratings of MovieLens-100k (in the wheel; 4 or 5 is a click) and a newcomer's clicks, whose labels follow from the
columns or are drawn at random. A tenth of each file is held out, as it is by default, and not looked at; models are
judged on 20,000 other rows. The last bias is fitted on rows that were trained on. For comparison it is fitted to the
validation rows' clicks instead, and to both, where validation rows count by their clicks / (clicks + 400). The scores'
mean is held against the click rate of the file, for how far that is from the truth is not the model's doing.
"""

import argparse
import tempfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.quality.movielens import ratings
from benchmarks.record import measured_on, record
from benchmarks.training.arrays import ArrayClicks, Shuffled
from benchmarks.training.newcomer import drawn
from thimble.export.clicks.number_samples import NumberSamples
from thimble.export.clicks.rows import Parts, Rows
from thimble.export.metrics.calibration import entropy, log_loss
from thimble.export.training.checkpoint import Checkpoint, load_trained
from thimble.export.training.evaluation import SCORING_BATCH, labelled_logits
from thimble.export.training.recipe import recipe_for
from thimble.export.training.schema import OwnModel
from thimble.export.training.train import train
from thimble.models.transforms import learnt

RESULTS = Path(__file__).parent / "results"
SIZES = [500, 1_000, 5_000, 20_000]
SHARES = [0.05, 0.1, 0.2, 0.3]  # of what is not held out
SEEDS = 6
OTHER_ROWS = 20_000
BLEND_CLICKS = 400


class Kind(NamedTuple):
    """Rows of a file, and after them OTHER_ROWS."""

    name: str
    clicks: ArrayClicks


def kinds(wheel: Path, rows: int, seed: int) -> Iterator[Kind]:
    dense, ids, labels = ratings(wheel)
    some = np.random.default_rng([seed, rows]).permutation(len(labels))[: rows + OTHER_ROWS]
    yield Kind("MovieLens, shuffled", ArrayClicks("MovieLens", labels[some], dense[some], ids[some]))
    for name, learnable in (("newcomer's", True), ("random", False)):
        yield Kind(name, ArrayClicks(name, *drawn(rows + OTHER_ROWS, seed, learnable)))


def tried(kind: Kind, rows: int, share: float, seed: int) -> dict[str, Any]:
    clicks, known = kind.clicks, rows * 9 // 10
    validation = known - int(known * share)
    parts = Parts(
        Shuffled(clicks, 0, validation, seed), Rows(clicks, rows, clicks.count()), Rows(clicks, validation, known)
    )
    numbers = NumberSamples(clicks.dense.shape[1])
    numbers.add(clicks.dense[:validation])
    names = [f"number {i}" for i in range(clicks.dense.shape[1])]
    own = OwnModel(dense=names, fields={"int": ["first", "second"]}, seed=seed)
    ids = {name: len(np.unique(column)) for name, column in zip(own.fields["int"], clicks.ids[:rows].T, strict=True)}
    spec = own.spec(ids, learnt("quantiles", numbers.samples()))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        train(spec, parts, recipe_for(validation, validated=True, seed=seed), folder)
        progress, model = Checkpoint(folder).load()[1], load_trained(folder).dlrm
    assert parts.validation is not None
    labels, logits = labelled_logits(model, parts.held_out.read(SCORING_BATCH))
    validation_labels, validation_logits = labelled_logits(model, parts.validation.read(SCORING_BATCH))
    shift = fitted(validation_logits.astype(np.float64), (validation_labels.sum() + 0.5) / (len(validation_labels) + 1))
    clicked = float(min(validation_labels.sum(), (1 - validation_labels).sum()))
    rate = float(clicks.labels[:known].mean())
    shifts = {"training": 0.0, "validation": shift, "both": shift * clicked / (clicked + BLEND_CLICKS)}
    scores = {name: 1 / (1 + np.exp(-logits.astype(np.float64) - by)) for name, by in shifts.items()}
    return {
        "kind": kind.name,
        "rows": rows,
        "share": share,
        "seed": seed,
        "best_epoch": progress.best_epoch,
        "constant": entropy(float(labels.mean())),
        "log_loss": {name: log_loss(labels, of) for name, of in scores.items()},
        "mean_to_rate": {name: float(of.mean() / rate) for name, of in scores.items()},
    }


def fitted(logits: Any, rate: float) -> float:
    """What is added to logits to make their scores' mean this rate."""
    shifts = np.linspace(-5, 5, 2001)
    return float(shifts[np.argmin([abs((1 / (1 + np.exp(-logits - by))).mean() - rate) for by in shifts])])


def table(results: list[dict[str, Any]]) -> str:
    """Markdown: means over the seeds."""
    lines = [
        "| labels | rows | for validation | log loss | a constant's | worst seed | constants kept | by validation "
    ]
    lines[0] += "rows | by both | mean off by | by validation rows | by both |"
    lines.append("| --- |" + " ---: |" * 11)
    for (kind, rows, share), group in groupby(results, lambda r: (r["kind"], r["rows"], r["share"])):
        runs = list(group)
        losses = {name: np.array([run["log_loss"][name] for run in runs]) for name in runs[0]["log_loss"]}
        off = {name: np.mean([abs(run["mean_to_rate"][name] - 1) for run in runs]) for name in losses}
        constants = sum(run["best_epoch"] == 0 for run in runs)
        constant = np.mean([run["constant"] for run in runs])
        means = {name: of.mean() for name, of in losses.items()}
        lines.append(
            f"| {kind} | {rows:,} | {share:.0%} | {means['training']:.4f} | {constant:.4f} | "
            f"{losses['training'].max():.4f} | {constants} of {len(runs)} | {means['validation']:.4f} | "
            f"{means['both']:.4f} | {off['training']:.1%} | {off['validation']:.1%} | {off['both']:.1%} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path, help="recbole's, which holds MovieLens-100k")
    wheel = parser.parse_args().wheel
    results: list[dict[str, Any]] = []
    for rows in SIZES:
        for seed in range(SEEDS):
            for kind in kinds(wheel, rows, seed):
                results += [tried(kind, rows, share, seed) for share in (SHARES if rows <= 1_000 else SHARES[:2])]
        results.sort(key=lambda r: (r["rows"], r["kind"], r["share"]))
        record(RESULTS, "small_files", {"measured_on": measured_on(), "runs": results}, table(results))
        print(table(results), flush=True)


if __name__ == "__main__":
    main()
