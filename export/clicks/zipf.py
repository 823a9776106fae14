"""Zipf's law: the id of rank r is drawn in proportion to 1 / r^exponent."""

import numpy as np
import numpy.typing as npt

from thimble.models.hashing import Int64s

Doubles = npt.NDArray[np.float64]

# Ranks beyond are drawn by an integral in place of the sum, which by then differs by less than one part in 10^7.
_EXACT = 1000
_GROUPS = 1000


class Zipf:
    """Ranks from 0, the most popular, to `ids` - 1."""

    def __init__(self, exponent: float, ids: int) -> None:
        self.exponent = exponent
        self.ids = ids
        exact = min(ids, _EXACT)
        self._head = np.arange(1.0, exact + 1) ** -exponent
        self._ends = exact + 0.5, ids + 0.5
        self._tail = float(self._integral(np.array([self._ends[1]]))[0]) if ids > exact else 0.0
        self._total = float(self._head.sum()) + self._tail
        self._cumulative = np.cumsum(self._head) / self._total

    def draw(self, uniform: Doubles) -> Int64s:
        """Ranks for uniform numbers in [0, 1)."""
        ranks = np.searchsorted(self._cumulative, uniform, side="right").clip(max=len(self._head) - 1)
        if self._tail:
            late = np.flatnonzero(uniform >= self._cumulative[-1])
            ranks[late] = self._tail_ranks((uniform[late] - self._cumulative[-1]) * self._total)
        return ranks.astype(np.int64)

    def shares(self) -> tuple[Doubles, Doubles]:
        """Of the draws, an id's share, and how many ids have it: [groups] each. In the tail groups take their mean."""
        if not self._tail:
            return self._head / self._total, np.ones(len(self._head))
        edges = np.unique(np.geomspace(len(self._head), self.ids, _GROUPS).astype(np.int64))
        ids = np.diff(edges).astype(np.float64)
        weights = np.diff(self._integral(edges.astype(np.float64) + 0.5)) / ids
        return np.append(self._head, weights) / self._total, np.append(np.ones(len(self._head)), ids)

    def _integral(self, rank: Doubles) -> Doubles:
        """Of 1 / x^exponent from the end of the exact ranks."""
        power = 1 - self.exponent
        start = self._ends[0]
        area: Doubles = np.log(rank / start) if power == 0 else (rank**power - start**power) / power
        return area

    def _tail_ranks(self, area: Doubles) -> Int64s:
        power = 1 - self.exponent
        start = self._ends[0]
        rank = start * np.exp(area) if power == 0 else (start**power + area * power) ** (1 / power)
        ranks: Int64s = np.floor(rank - 0.5).astype(np.int64).clip(len(self._head), self.ids - 1)
        return ranks
