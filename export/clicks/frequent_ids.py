"""Which ids come often enough to have a row of their own in a full table, in one pass over the rows to train on."""

from collections.abc import Sequence

import numpy as np

from thimble.export.clicks.field_ids import ids_by_field
from thimble.export.clicks.rows import Rows
from thimble.models.bags import Bag
from thimble.models.hashing import Int64s

LEAST = 2
"""A single click says little of an id, and where the tail is long most ids come once (docs/adr/0017-full-tables.md)."""
READ_ROWS = 4096
# Ids are counted so many at a time, or as many as there are different ones already: each is sorted a few times in all.
BLOCK = 1 << 20


def frequent_ids(rows: Rows, bags: Sequence[Bag | None], least: int = LEAST) -> list[Int64s]:
    """The ids of each field that come at least so often, sorted, int64 [ids].

    One of a field that is no bag is 0, which is no id but a missing one. Takes memory in proportion to how many
    different ids there are.
    """
    found = [of_field.at_least(least) for of_field in id_counts(rows, bags)]
    return [ids if bag else np.union1d([0], ids) for bag, ids in zip(bags, found, strict=True)]


def id_counts(rows: Rows, bags: Sequence[Bag | None], most: int | None = None) -> list["IdCounts"]:
    """How often the ids of each field come, of a field that has more than `most` those of the hottest (`IdCounts`)."""
    counts = [IdCounts(most) for _ in bags]
    for clicks in rows.read(READ_ROWS):
        for of_field, ids in zip(counts, ids_by_field(clicks.batch.ids, bags), strict=True):
            of_field.add(ids)
    for of_field in counts:
        of_field.count()
    return counts


class IdCounts:
    """How often each id of a field comes: `times` of `ids`, which are sorted, once `count` has been called.

    With `most`, whenever there are more ids than that, the rarest are forgotten until half as many are left, as in
    lossy counting (Manku & Motwani, VLDB 2002). `forgotten` are their reads.
    """

    def __init__(self, most: int | None = None) -> None:
        self.most = most
        self.ids = np.empty(0, dtype=np.int64)
        self.times = np.empty(0, dtype=np.int64)
        self.forgotten = 0
        self._new: list[Int64s] = []
        self._room = BLOCK

    def add(self, ids: Int64s) -> None:
        """More of them, [ids]."""
        self._new.append(ids.copy())
        self._room -= len(ids)
        if self._room < 0:
            self.count()

    def at_least(self, times: int) -> Int64s:
        """The ids that came so often, sorted."""
        self.count()
        return self.ids[self.times >= times]

    def times_of(self, ids: Int64s) -> Int64s:
        """How often each of these ids came, 0 where it did not. After `count`."""
        if not len(self.ids):
            return np.zeros_like(ids)
        place = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        return np.where(self.ids[place] == ids, self.times[place], 0)

    def count(self) -> None:
        """What was added since it was last called."""
        new, times = np.unique(np.concatenate([self.ids[:0], *self._new]), return_counts=True)
        self.ids, place = np.unique(np.concatenate([self.ids, new]), return_inverse=True)
        before, self.times = self.times, np.zeros(len(self.ids), dtype=np.int64)
        self.times[place[: len(before)]] = before
        self.times[place[len(before) :]] += times
        if self.most is not None and len(self.ids) > self.most:
            self._forget(self.most // 2)
        self._new, self._room = [], max(BLOCK, len(self.ids))

    def _forget(self, left: int) -> None:
        kept = np.sort(np.argsort(-self.times, kind="stable")[:left])
        self.forgotten += int(self.times.sum() - self.times[kept].sum())
        self.ids, self.times = self.ids[kept], self.times[kept]
