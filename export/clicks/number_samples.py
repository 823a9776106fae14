"""Samples of the values in columns of numbers, in constant memory."""

import numpy as np

from thimble.models.hashing import Floats
from thimble.models.transforms.base import NumberSample

# So many values place a quantile within a quarter of a percent, and a column takes half a MiB at most.
SAMPLE = 1 << 15


class NumberSamples:
    """Of each column SAMPLE of its values, each as likely as another, or all. The same rows give the same samples."""

    def __init__(self, columns: int) -> None:
        self.rows = 0
        self.known = [0] * columns
        self.values: list[Floats] = [np.empty(0, np.float32)] * columns
        # a random number for each value; those with the least ones are kept
        self.ranks: list[Floats] = [np.empty(0, np.float32)] * columns
        self.random = np.random.default_rng(0)

    def add(self, dense: Floats) -> None:
        """More rows, [rows, columns]."""
        self.rows += len(dense)
        for column, numbers in enumerate(dense.T):
            values = numbers[~np.isnan(numbers)]
            self.known[column] += len(values)
            self.values[column] = np.concatenate([self.values[column], values])
            self.ranks[column] = np.concatenate([self.ranks[column], self.random.random(len(values), np.float32)])
            if len(self.values[column]) > 2 * SAMPLE:
                self._drop(column)

    def samples(self) -> list[NumberSample]:
        for column, values in enumerate(self.values):
            if len(values) > SAMPLE:
                self._drop(column)
        missing = [1 - known / max(1, self.rows) for known in self.known]
        return [NumberSample(values, share) for values, share in zip(self.values, missing, strict=True)]

    def _drop(self, column: int) -> None:
        kept = np.argpartition(self.ranks[column], SAMPLE)[:SAMPLE]
        self.values[column], self.ranks[column] = self.values[column][kept], self.ranks[column][kept]
