"""Whether scores are the probabilities that they claim to be."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from thimble.export.metrics.intervals import Bounds, Doubles, Int64s, share_interval

# Each bin holds a twentieth of the rows' weight, as nearly as equal scores allow, which are never parted.
BINS = 20


class ReliabilityBin(NamedTuple):
    """Rows of like scores: how many, their mean score, and the share of them that was clicked, with a 95 % interval.

    `mass` is what they weigh together, and `effective_rows` how many rows of equal weight tell as much of the rate:
    their number over the design effect (Kish, Survey Sampling, 1965). Both are 0 in checkpoints from before they were
    kept.
    """

    rows: int
    score: float
    rate: float
    interval: Bounds
    mass: float = 0
    effective_rows: float = 0

    @property
    def chance(self) -> float:
        """How far chance alone takes the rate from its true value on average: sqrt(2 / pi) standard errors, E|Z|."""
        return math.sqrt(2 / math.pi * self.rate * (1 - self.rate) / self.effective_rows)


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
    return max(0.0, -sum(p * float(np.log(p)) for p in (rate, 1 - rate) if p > 0))  # not -0, of one class


def reliability(
    labels: npt.NDArray[Any], scores: npt.NDArray[Any], weights: npt.NDArray[Any] | None = None
) -> list[ReliabilityBin]:
    """At most `BINS` bins of equal mass, from the lowest scores to the highest: the points of a reliability plot.

    The intervals are Wilson's, of the effective rows, and take rows as independent. Weights that go by the label, as of
    sampled negatives, cost less than the square of their sum over the sum of their squares says: most of what is known
    of a low rate the clicks know. So the variance is the linearised one of a ratio; that other figure is for bins of
    one class, where it is 0.
    """
    weighed = np.ones(len(scores)) if weights is None else weights.astype(np.float64)
    bins = _bins(scores, weighed)

    def sums(values: npt.NDArray[Any]) -> Doubles:
        return np.bincount(bins, weights=values, minlength=BINS).astype(np.float64, copy=False)

    clicked = labels > 0.5
    rows, mass = np.bincount(bins, minlength=BINS), sums(weighed)
    filled = np.maximum(mass, np.finfo(np.float64).tiny)  # empty bins are left out below
    rate, score = sums(weighed * clicked) / filled, sums(weighed * scores) / filled
    spread, one_class = sums((weighed * (clicked - rate[bins])) ** 2), (rate == 0) | (rate == 1)
    parts, whole = np.where(one_class, sums(weighed**2), spread), np.where(one_class, 1, rate * (1 - rate))
    return [
        ReliabilityBin(
            int(rows[i]),
            float(score[i]),
            float(rate[i]),
            share_interval(float(rate[i]), effective := float(whole[i] * mass[i] ** 2 / parts[i])),
            float(mass[i]),
            effective,
        )
        for i in np.flatnonzero(mass)
    ]


def expected_error(bins: Sequence[ReliabilityBin]) -> float | None:
    """The calibration error that chance alone makes of right scores; None where bins do not tell what they weigh."""
    mass = sum(found.mass for found in bins)
    return sum(found.mass * found.chance for found in bins) / mass if mass else None


def calibration_error(labels: npt.NDArray[Any], scores: npt.NDArray[Any], weights: npt.NDArray[Any] | None) -> float:
    """Expected calibration error: mean distance of score and click rate over rows, in `BINS` bins of equal mass.

    (Naeini et al., AAAI 2015; equal mass as by Nguyen and O'Connor, EMNLP 2015.) Chance alone makes it larger than 0:
    by at most about .8 times the root of rate x (1 - rate) x bins / rows, `expected_error`.
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
