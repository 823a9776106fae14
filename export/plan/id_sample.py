"""How often the ids of a field come, in bounded memory."""

import numpy as np
import numpy.typing as npt

from thimble.export.clicks.hidden_truth import uniform
from thimble.export.plan.traffic import Doubles, Traffic, grouped
from thimble.models.hashing import Int64s

ROOM = 1 << 18
"""Ids that are remembered: up to so many all of them, beyond that the most frequent ones and a random part."""
_SALT = np.uint64(0x51A7)


class IdSample:
    """Counts of ids, exact for those that are remembered. The others are dropped by a hash, as if never seen.

    It is distinct sampling (Gibbons, VLDB 2001) with the most frequent ids kept: an id that a hash kept with some
    chance stands for as many as that chance's inverse, so that sums over ids are right on average.
    """

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._ids: Int64s = np.empty(0, np.int64)
        self._times: Int64s = np.empty(0, np.int64)
        self._chances: Doubles = np.empty(0, np.float64)  # with which each was kept
        self._chance = 1.0  # with which an id is kept that comes for the first time
        self._new: list[Int64s] = []
        self._waiting = 0

    def add(self, ids: Int64s) -> None:
        """More of them, [ids]."""
        self._new.append(ids.copy())
        self._waiting += len(ids)
        if self._waiting >= self._room:
            self._count()

    def traffic(self, rows: int) -> Traffic:
        """Of so many rows, whose ids were added."""
        self._count()
        return grouped(self._times / rows, 1 / self._chances)

    def once(self) -> float:
        """Ids that came once."""
        self._count()
        return float((1 / self._chances[self._times == 1]).sum())

    def _count(self) -> None:
        new, times = np.unique(np.concatenate([self._ids[:0], *self._new]), return_counts=True)
        self._new, self._waiting = [], 0
        kept = np.isin(new, self._ids, assume_unique=True) | (uniform(new, _SALT) < self._chance)
        before = self._times, self._chances
        self._ids, place = np.unique(np.concatenate([self._ids, new[kept]]), return_inverse=True)
        known, came = np.split(place, [len(before[0])])
        self._times, self._chances = np.zeros(len(self._ids), np.int64), np.full(len(self._ids), self._chance)
        self._times[known], self._chances[known] = before
        self._times[came] += times[kept]
        while len(self._ids) > self._room:
            self._thin()

    def _thin(self) -> None:
        """Keep the most frequent quarter of what there is room for, and half of the others."""
        self._chance /= 2
        frequent = np.zeros(len(self._ids), bool)
        frequent[np.argpartition(-self._times, self._room // 4)[: self._room // 4]] = True
        self._chances = np.where(frequent, self._chances, self._chance)
        stays: npt.NDArray[np.bool_] = frequent | (uniform(self._ids, _SALT) < self._chance)
        self._ids, self._times, self._chances = self._ids[stays], self._times[stays], self._chances[stays]
