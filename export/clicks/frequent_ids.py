"""Which ids come often enough to have a row of their own in a full table, in one pass over the rows to train on."""

import numpy as np

from thimble.export.clicks.rows import Rows
from thimble.models.hashing import Int64s

LEAST = 2
"""A single click says little of an id, and where the tail is long most ids come once (docs/adr/0017-full-tables.md)."""
READ_ROWS = 4096
# Ids are counted so many at a time, or as many as there are different ones already: each is sorted a few times in all.
BLOCK = 1 << 20


def frequent_ids(rows: Rows, fields: int, least: int = LEAST) -> list[Int64s]:
    """The ids of each field that come at least so often, and 0, which is no id but a missing one. Sorted, int64 [ids].

    Takes memory in proportion to how many different ids there are.
    """
    counts = [IdCounts() for _ in range(fields)]
    for clicks in rows.read(READ_ROWS):
        for of_field, column in zip(counts, clicks.batch.ids.T, strict=True):
            of_field.add(column)
    return [np.union1d([0], of_field.at_least(least)) for of_field in counts]


class IdCounts:
    """How often each id of a field comes."""

    def __init__(self) -> None:
        self.ids = np.empty(0, dtype=np.int64)
        self.times = np.empty(0, dtype=np.int64)
        self._new: list[Int64s] = []
        self._room = BLOCK

    def add(self, column: Int64s) -> None:
        """More rows, [rows]."""
        self._new.append(column.copy())
        self._room -= len(column)
        if self._room < 0:
            self._count()

    def at_least(self, times: int) -> Int64s:
        """The ids that came so often, sorted."""
        self._count()
        return self.ids[self.times >= times]

    def _count(self) -> None:
        new, times = np.unique(np.concatenate([self.ids[:0], *self._new]), return_counts=True)
        self.ids, place = np.unique(np.concatenate([self.ids, new]), return_inverse=True)
        before, self.times = self.times, np.zeros(len(self.ids), dtype=np.int64)
        self.times[place[: len(before)]] = before
        self.times[place[len(before) :]] += times
        self._new, self._room = [], max(BLOCK, len(self.ids))
