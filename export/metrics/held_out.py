"""How well scores rank and price clicks."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from thimble.models.spec import Metrics

Doubles = npt.NDArray[np.float64]
_NORMAL_975 = 1.959963984540054


class Auc(NamedTuple):
    value: float
    low: float
    high: float


def auc(labels: npt.NDArray[Any], scores: npt.NDArray[Any]) -> Auc | None:
    """Area under the ROC curve with its 95 % interval; None when all labels are the same.

    The variance is DeLong's, computed from mid-ranks as by Sun and Xu (IEEE Signal Processing Letters, 2014).
    """
    clicked = labels > 0.5
    positives, negatives = scores[clicked], scores[~clicked]
    m, n = len(positives), len(negatives)
    if m == 0 or n == 0:
        return None
    everything = _midranks(np.concatenate([positives, negatives]))
    beaten = (everything[:m] - _midranks(positives)) / n  # share of negatives below each positive
    missed = 1 - (everything[m:] - _midranks(negatives)) / m  # share of positives above each negative
    value = float(beaten.mean())
    variance = (beaten.var(ddof=1) / m if m > 1 else 0.0) + (missed.var(ddof=1) / n if n > 1 else 0.0)
    half = _NORMAL_975 * float(np.sqrt(variance))
    return Auc(value, max(0.0, value - half), min(1.0, value + half))


def log_loss(labels: npt.NDArray[Any], scores: npt.NDArray[Any]) -> float:
    """Mean negative log likelihood in nats of probabilities `scores`."""
    p = np.clip(scores.astype(np.float64), 1e-7, 1 - 1e-7)
    return float(-np.mean(np.where(labels > 0.5, np.log(p), np.log1p(-p))))


def held_out_metrics(
    labels: npt.NDArray[Any], scores: npt.NDArray[Any], truth: npt.NDArray[Any] | None = None
) -> Metrics:
    """Metrics of probabilities `scores` on held-out rows; `truth` are the hidden logits of generated clicks."""
    ranked = auc(labels, scores)
    best = auc(labels, truth) if truth is not None else None
    return Metrics(
        rows=len(labels),
        base_rate=float(np.mean(labels)),
        log_loss=log_loss(labels, scores),
        auc=ranked.value if ranked else None,
        auc_interval=(ranked.low, ranked.high) if ranked else None,
        best_auc=best.value if best else None,
    )


def _midranks(values: npt.NDArray[Any]) -> Doubles:
    """Ranks from 1, equal values sharing the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: Doubles = (ends - (counts - 1) / 2)[inverse]
    return ranks
