"""Rows and their scores, gathered while a file streams by."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from thimble.export.metrics.curves import Curves, curves
from thimble.export.metrics.held_out import held_out_metrics
from thimble.export.metrics.negatives import row_weights
from thimble.models.spec import Metrics

Array = npt.NDArray[Any]


class ScoredRows:
    """What metrics need of rows: 8 bytes for each, and 8 more for each of groups and truth."""

    def __init__(self, negatives_kept: float = 1) -> None:
        """`negatives_kept` is the share of the negatives that the rows hold; metrics are those of the full log."""
        self._negatives_kept = negatives_kept
        self._batches: list[_Batch] = []

    def __len__(self) -> int:
        return sum(len(batch.labels) for batch in self._batches)

    def add(self, labels: Array, scores: Array, truth: Array | None = None, groups: Array | None = None) -> None:
        """A batch, all arrays [rows]; either all batches have a truth, or groups, or none."""
        if len(labels):
            self._batches.append(_Batch(labels, scores, truth, groups))

    @property
    def labels(self) -> Array:
        return np.concatenate([batch.labels for batch in self._batches])

    @property
    def scores(self) -> Array:
        return np.concatenate([batch.scores for batch in self._batches])

    @property
    def weights(self) -> Array | None:
        """How many rows of the full log each stands for; None where it is one for all."""
        return row_weights(self.labels, self._negatives_kept)

    def metrics(self) -> Metrics:
        """As `held_out_metrics`, of at least one row."""
        truth, groups = (_joined(column) for column in list(zip(*self._batches, strict=True))[2:])
        return held_out_metrics(self.labels, self.scores, truth, groups, self.weights)

    def curves(self) -> Curves:
        """What there is to plot of them, of at least one row."""
        return curves(self.labels, self.scores, self.weights)


class _Batch(NamedTuple):
    labels: Array
    scores: Array
    truth: Array | None
    groups: Array | None


def _joined(parts: tuple[Any, ...]) -> Array | None:
    return None if parts[0] is None else np.concatenate(parts)
