"""Scores whose mean is the base rate."""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import torch

from thimble.export.clicks.rows import Clicks, Rows, rebatched
from thimble.export.metrics.negatives import Doubles, row_weights
from thimble.export.training.evaluation import SCORING_BATCH, score
from thimble.models.hashing import Floats
from thimble.models.heads import columns_of, parents_of
from thimble.models.nn.recommender import Recommender

# Where a fifth is clicked, so many rows place the mean score within 1 % of that (one standard error).
INTERCEPT_ROWS = 65_536
_HALVINGS = 50


class LastRows:
    """An epoch's last INTERCEPT_ROWS, kept as they are trained on, so that files need not be read once more for them.

    Which batches these are is known at the end alone, since bad rows are counted, and may not come. The rows are the
    same wherever the epoch was stopped.
    """

    def __init__(self, rows: Rows, batch_size: int, position: int, epoch: int) -> None:
        """The epoch goes on at this row."""
        self.rows, self.batch_size, self.epoch = rows, batch_size, epoch
        self.passed = -(-position // batch_size)
        self.kept: deque[Clicks] = deque(maxlen=INTERCEPT_ROWS // batch_size + 2)  # one more, as the last may be short

    def add(self, clicks: Clicks) -> None:
        """The next batch."""
        self.kept.append(Clicks(clicks.labels, clicks.batch))

    def read(self) -> Iterator[Clicks]:
        """At the end. Only batches that this process has not trained on are read from files."""
        assert self.kept.maxlen is not None
        kept = list(self.kept)
        if (wanted := min(self.kept.maxlen - len(kept), self.passed)) > 0:
            batches = self.rows.read(self.batch_size, (self.passed - wanted) * self.batch_size, self.epoch)
            kept = [Clicks(clicks.labels, clicks.batch) for clicks in islice(batches, wanted)] + kept
        return rebatched(iter(kept), SCORING_BATCH, max(0, sum(len(clicks.labels) for clicks in kept) - INTERCEPT_ROWS))


def fit_intercept(model: Recommender, batches: Iterable[Clicks], negatives_kept: float = 1) -> None:
    """Change the last layer's bias so that the scores' mean over the rows is their base rate, for each answer.

    Both are those of the full log, of whose negatives the rows hold that share.

    At its end training still swings about what it looks for, and the bias with it, by up to 10 % of the base rate in
    small files. Rows of one class, or none, change nothing.
    """
    rows = [clicks for clicks in batches if len(clicks.labels)]
    if not rows:
        return
    labels = columns_of(np.concatenate([clicks.labels for clicks in rows]))
    scores = columns_of(np.concatenate([score(model, clicks.batch) for clicks in rows]).astype(np.float64))
    weights = row_weights(labels[0], negatives_kept)
    shifts: list[float] = []
    fitted: list[Doubles] = []
    for label, found, parent in zip(labels, scores, parents_of(model.heads) or (None,), strict=True):
        others = np.ones(len(found)) if parent is None else scores[parent]  # what the score is a product with
        own = found / np.maximum(others, 1e-12)
        logits = np.log(np.clip(own, 1e-12, 1)) - np.log1p(-np.clip(own, 0, 1 - 1e-12))
        within = np.ones(len(found)) if parent is None else fitted[parent]
        shifts.append(_shift(logits, within, label, weights) if len(np.unique(label)) > 1 else 0.0)
        fitted.append(within / (1 + np.exp(-logits - shifts[-1])))
    with torch.no_grad():
        model.last_layer.bias.add_(torch.tensor(shifts, device=model.last_layer.bias.device))


def _shift(logits: Doubles, within: Doubles, labels: Floats, weights: Doubles | None) -> float:
    """What logits [rows] are to be raised by so that the mean of sigmoid times `within` is that of the labels."""
    rate = np.average(labels, weights=weights)
    low, high = -20.0, 20.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        mean = np.average(within / (1 + np.exp(-logits - middle)), weights=weights)
        low, high = (middle, high) if mean < rate else (low, middle)
    return low
