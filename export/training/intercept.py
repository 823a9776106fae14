"""Scores whose mean is the base rate."""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import torch

from thimble.export.clicks.rows import Clicks, Rows, rebatched
from thimble.export.metrics.negatives import row_weights
from thimble.export.training.evaluation import SCORING_BATCH, score
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
    """Change the last layer's bias so that the scores' mean over the rows is their base rate.

    Both are those of the full log, of whose negatives the rows hold that share.

    At its end training still swings about what it looks for, and the bias with it, by up to 10 % of the base rate in
    small files. Rows of one class, or none, change nothing.
    """
    rows = [clicks for clicks in batches if len(clicks.labels)]
    labels = np.concatenate([np.empty(0, np.float32), *(clicks.labels for clicks in rows)])
    if len(np.unique(labels)) < 2:
        return
    weights = row_weights(labels, negatives_kept)
    rate = np.average(labels, weights=weights)
    scores = np.concatenate([score(model, clicks.batch) for clicks in rows]).astype(np.float64)
    logits = np.log(np.clip(scores, 1e-12, 1)) - np.log1p(-np.clip(scores, 0, 1 - 1e-12))
    low, high = -20.0, 20.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        mean = np.average(1 / (1 + np.exp(-logits - middle)), weights=weights)
        low, high = (middle, high) if mean < rate else (low, middle)
    with torch.no_grad():
        model.last_layer.bias.add_(low)
