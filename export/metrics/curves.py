"""What plots show of scores on held-out rows, small enough to be kept."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from thimble.export.metrics.calibration import ReliabilityBin, reliability
from thimble.models.base import Frozen

# Steps of log-odds, in which low click rates are told apart as well as high ones: 0.03 % to 99.97 %.
LOG_ODDS = np.arange(-8, 8.5, 0.5)
EDGES = 1 / (1 + np.exp(-LOG_ODDS))


class ScoreBin(NamedTuple):
    """Share of all rows with scores from `low` up to `high`: the clicked ones, and the others."""

    low: float
    high: float
    clicked: float
    others: float


class Curves(Frozen):
    """The points of a reliability plot and of a histogram of the scores, both from low scores to high ones."""

    reliability: list[ReliabilityBin]
    histogram: list[ScoreBin]


def curves(labels: npt.NDArray[Any], scores: npt.NDArray[Any], weights: npt.NDArray[Any] | None = None) -> Curves:
    """What there is to plot of probabilities `scores`, all arrays [rows], at least one."""
    return Curves(reliability=reliability(labels, scores, weights), histogram=_histogram(labels, scores, weights))


def _histogram(labels: npt.NDArray[Any], scores: npt.NDArray[Any], weights: npt.NDArray[Any] | None) -> list[ScoreBin]:
    """From the first bin that has rows to the last; scores beyond the edges are in the outermost."""
    bins = np.clip(np.searchsorted(EDGES, scores, "right") - 1, 0, len(EDGES) - 2)
    weighed = np.ones(len(scores)) if weights is None else weights.astype(np.float64)
    clicked, others = (
        np.bincount(bins, weights=weighed * side, minlength=len(EDGES) - 1) / weighed.sum()
        for side in (labels > 0.5, labels <= 0.5)
    )
    return [
        ScoreBin(float(EDGES[i]), float(EDGES[i + 1]), float(clicked[i]), float(others[i]))
        for i in range(bins.min(), bins.max() + 1)
    ]
