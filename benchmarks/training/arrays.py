"""Rows that lie in memory, for benchmarks that train often."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from thimble.export.clicks.rows import Clicks, Rows
from thimble.models.features import Batch
from thimble.models.hashing import Floats, Int64s


@dataclass(frozen=True)
class ArrayClicks:
    """Labels [rows], numbers [rows, columns] and ids [rows, fields]."""

    description: str
    labels: Floats
    dense: Floats
    ids: Int64s
    files: Sequence[Path] = ()

    @property
    def identity(self) -> str:
        return self.description

    def count(self) -> int:
        return len(self.labels)

    def read(self, start: int, stop: int, size: int) -> Iterator[Clicks]:
        for first in range(start, stop, size):
            yield self.taken(np.arange(first, min(first + size, stop)))

    def taken(self, rows: Int64s) -> Clicks:
        dense, ids = self.dense[rows], self.ids[rows]
        return Clicks(self.labels[rows], Batch(dense, ids), partial(_raw, dense, ids))


@dataclass(frozen=True)
class Shuffled(Rows):
    """A range of rows in another order in each epoch."""

    seed: int = 0

    def read(self, size: int, skip: int = 0, epoch: int = 0) -> Iterator[Clicks]:
        assert isinstance(self.source, ArrayClicks)
        order = self.start + np.random.default_rng([self.seed, epoch]).permutation(len(self))
        for first in range(skip, len(order), size):
            yield self.source.taken(order[first : first + size])


def _raw(dense: Floats, ids: Int64s) -> list[list[Any]]:
    return [*dense.T.tolist(), *ids.T.tolist()]
