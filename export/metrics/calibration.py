"""Whether scores are the probabilities that they claim to be."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from thimble.export.metrics.intervals import Bounds, Doubles, Int64s, share_interval

# Each bin holds a twentieth of the rows, as nearly as equal scores allow, which are never parted.
BINS = 20


class ReliabilityBin(NamedTuple):
    """Rows of like scores: how many, their mean score, and the share of them that was clicked, with a 95 % interval."""

    rows: int
    score: float
    rate: float
    interval: Bounds


def row_log_losses(labels: npt.NDArray[Any], scores: npt.NDArray[Any]) -> Doubles:
    """Negative log likelihood of each row in nats; probabilities are kept 1e-7 from 0 and 1, so that it is finite."""
    p = np.clip(scores.astype(np.float64), 1e-7, 1 - 1e-7)
    losses: Doubles = -np.where(labels > 0.5, np.log(p), np.log1p(-p))
    return losses


def log_loss(labels: npt.NDArray[Any], scores: npt.NDArray[Any], weights: npt.NDArray[Any] | None = None) -> float:
    """Mean negative log likelihood in nats of probabilities `scores`."""
    return float(np.average(row_log_losses(labels, scores), weights=weights))


def entropy(rate: float) -> float:
    """Log loss in nats of a constant score, the base rate: what a model has to beat."""
    return -sum(p * float(np.log(p)) for p in (rate, 1 - rate) if p > 0)


def reliability(
    labels: npt.NDArray[Any], scores: npt.NDArray[Any], weights: npt.NDArray[Any] | None = None
) -> list[ReliabilityBin]:
    """At most `BINS` bins of equal mass, from the lowest scores to the highest: the points of a reliability plot.

    The intervals are Wilson's, of as many rows as the weights are worth (Kish, Survey Sampling, 1965: the square of
    their sum over the sum of their squares), and take rows as independent.
    """
    weighed = np.ones(len(scores)) if weights is None else weights.astype(np.float64)
    bins = _bins(scores, weighed)

    def sums(values: npt.NDArray[Any]) -> Doubles:
        return np.bincount(bins, weights=values, minlength=BINS).astype(np.float64, copy=False)

    rows, mass, squares = np.bincount(bins, minlength=BINS), sums(weighed), sums(weighed**2)
    clicks, total = sums(weighed * (labels > 0.5)), sums(weighed * scores)
    return [
        ReliabilityBin(
            int(rows[i]),
            float(total[i] / mass[i]),
            rate := float(clicks[i] / mass[i]),
            share_interval(rate, float(mass[i] ** 2 / squares[i])),
        )
        for i in np.flatnonzero(mass)
    ]


def calibration_error(labels: npt.NDArray[Any], scores: npt.NDArray[Any], weights: npt.NDArray[Any] | None) -> float:
    """Expected calibration error: mean distance of score and click rate over rows, in `BINS` bins of equal mass.

    (Naeini et al., AAAI 2015; equal mass as by Nguyen and O'Connor, EMNLP 2015.) Chance alone makes it larger than 0:
    by about .8 times the root of rate x (1 - rate) x bins / rows.
    """
    weighed = np.ones(len(scores)) if weights is None else weights.astype(np.float64)
    surplus = np.bincount(_bins(scores, weighed), weights=weighed * (scores - (labels > 0.5)))
    return float(np.abs(surplus).sum() / weighed.sum())


def _bins(scores: npt.NDArray[Any], weights: Doubles) -> Int64s:
    """The bin of each row, by the middle of the ranks that its score takes."""
    _, index = np.unique(scores, return_inverse=True)
    mass = np.bincount(index, weights=weights)
    middles = (np.cumsum(mass) - mass / 2) / mass.sum()
    bins: Int64s = np.minimum((middles * BINS).astype(np.int64), BINS - 1)[index]
    return bins
