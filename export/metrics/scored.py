"""Rows and their scores, gathered while a file streams by."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from thimble.export.metrics.curves import Curves, curves
from thimble.export.metrics.held_out import held_out_metrics
from thimble.export.metrics.negatives import row_weights
from thimble.models.heads import SCORE, columns_of
from thimble.models.spec import Metrics

Array = npt.NDArray[Any]


class ScoredRows:
    """What metrics need of rows: 8 bytes for each, and 8 more for each of groups and truth."""

    def __init__(self, negatives_kept: float = 1, outputs: Sequence[str] = (SCORE,)) -> None:
        """`negatives_kept` is the share of the negatives that the rows hold; metrics are those of the full log.

        With several `outputs` arrays are [rows, heads]. A negative is a row without the first of them.
        """
        self._negatives_kept = negatives_kept
        self._outputs = outputs
        self._batches: list[_Batch] = []

    def __len__(self) -> int:
        return sum(len(batch.labels) for batch in self._batches)

    def add(self, labels: Array, scores: Array, truth: Array | None = None, groups: Array | None = None) -> None:
        """A batch, all arrays [rows], of several outputs all but groups [rows, heads].

        Either all batches have a truth, or groups, or none.
        """
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
        return row_weights(columns_of(self.labels)[0], self._negatives_kept)

    def metrics(self) -> Metrics:
        """As `held_out_metrics`, of at least one row."""
        truth, groups = (_joined(column) for column in list(zip(*self._batches, strict=True))[2:])
        labels, scores, weights = columns_of(self.labels), columns_of(self.scores), self.weights
        truths = [None] * len(labels) if truth is None else columns_of(truth)
        first, *others = (
            held_out_metrics(*of_head, groups, weights) for of_head in zip(labels, scores, truths, strict=True)
        )
        named = dict(zip(self._outputs[1:], others, strict=True))
        return first.model_copy(update={"others": named}) if named else first

    def curves(self) -> Curves:
        """What there is to plot of the first output, of at least one row."""
        return curves(columns_of(self.labels)[0], columns_of(self.scores)[0], self.weights)


class _Batch(NamedTuple):
    labels: Array
    scores: Array
    truth: Array | None
    groups: Array | None


def _joined(parts: tuple[Any, ...]) -> Array | None:
    return None if parts[0] is None else np.concatenate(parts)
