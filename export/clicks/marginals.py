"""What each of Criteo's numbers and fields looks like by itself, and draws that look so.

A field's ids follow a head of ten with the measured shares and a truncated Pareto tail, shifted where the head is flat,
whose exponent is solved for so that 10,000 lines show as many different ids as the real ones did.
"""

from typing import NamedTuple

import numpy as np

from thimble.export.clicks.zipf import Doubles
from thimble.models.hashing import Int64s
from thimble.models.presets import CRITEO_KAGGLE_ROWS

HEAD = 10


class NumberShape(NamedTuple):
    """One of I1..I13: share missing and the 5, 50, 95 and 99 % quantiles of the rest."""

    missing: float
    quantiles: tuple[float, float, float, float]
    least: float = 0


class FieldShape(NamedTuple):
    """One of C1..C26: share missing, different ids in 10,000 lines, shares of the top id and of the top ten."""

    missing: float
    distinct: int
    top: float
    top10: float


# Measured over 10,000 real Criteo display-ad lines in time order.
NUMBERS = [
    NumberShape(0.448, (0, 1, 15, 44)),
    NumberShape(0.0, (-1, 3, 573, 2214), least=-2),
    NumberShape(0.204, (1, 7, 93, 303)),
    NumberShape(0.198, (0, 4, 28, 44)),
    NumberShape(0.049, (2, 2480, 51169, 312261)),
    NumberShape(0.251, (0, 40, 590, 1733)),
    NumberShape(0.049, (0, 3, 58, 190)),
    NumberShape(0.001, (0, 7, 42, 48)),
    NumberShape(0.049, (1, 41, 502, 1228)),
    NumberShape(0.448, (0, 0, 2, 3)),
    NumberShape(0.049, (0, 1, 9, 22)),
    NumberShape(0.773, (0, 0, 4, 14)),
    NumberShape(0.198, (0, 5, 38, 74)),
]
FIELDS = [
    FieldShape(0.0, 175, 0.500, 0.911),
    FieldShape(0.0, 386, 0.123, 0.432),
    FieldShape(0.036, 5520, 0.049, 0.192),
    FieldShape(0.036, 4032, 0.076, 0.254),
    FieldShape(0.0, 56, 0.666, 0.980),
    FieldShape(0.133, 7, 0.530, 1.0),
    FieldShape(0.0, 3184, 0.011, 0.073),
    FieldShape(0.0, 93, 0.589, 0.957),
    FieldShape(0.0, 3, 0.887, 1.0),
    FieldShape(0.0, 2986, 0.276, 0.338),
    FieldShape(0.0, 2084, 0.020, 0.110),
    FieldShape(0.036, 5283, 0.049, 0.195),
    FieldShape(0.0, 1725, 0.022, 0.131),
    FieldShape(0.0, 24, 0.363, 0.989),
    FieldShape(0.0, 2035, 0.019, 0.110),
    FieldShape(0.036, 4723, 0.049, 0.196),
    FieldShape(0.0, 9, 0.430, 1.0),
    FieldShape(0.0, 1149, 0.051, 0.219),
    FieldShape(0.450, 546, 0.601, 0.722),
    FieldShape(0.450, 3, 0.362, 1.0),
    FieldShape(0.036, 5036, 0.049, 0.196),
    FieldShape(0.818, 7, 0.526, 1.0),
    FieldShape(0.0, 12, 0.452, 0.993),
    FieldShape(0.036, 2524, 0.078, 0.391),
    FieldShape(0.450, 39, 0.328, 0.907),
    FieldShape(0.450, 1938, 0.082, 0.273),
]
MEASURED_LINES = 10_000


class Popularity:
    """Ranks of one field's ids, 0 the most popular, distributed as a `FieldShape` says."""

    def __init__(self, shape: FieldShape, ids: int) -> None:
        # where the top ten are all there is, no more ids than were seen
        self.ids = ids = min(ids, shape.distinct) if shape.top10 == 1.0 else ids
        self.tail_share = 1 - shape.top10 if ids > HEAD else 0.0
        self.head = _head(shape.top, 1 - self.tail_share, min(HEAD, ids))
        draws = MEASURED_LINES * (1 - shape.missing)
        # where the head is flat, so must be the tail's beginning, or its first ids would overtake the head's
        for self.shift in (0, 3, 10, 30, 100, 300, 1000):
            self.exponent = self._solve(shape.distinct, draws)
            if self.tail_share * self._tail_cdf(np.array([HEAD + 1.0]), self.exponent)[0] <= self.head[-1]:
                break

    def draw(self, uniform: Doubles) -> Int64s:
        """Ranks for uniform numbers in [0, 1)."""
        cumulative = np.cumsum(self.head)
        ranks = np.searchsorted(cumulative, uniform, side="right").clip(max=len(self.head) - 1)
        if self.tail_share > 0:
            tail = np.flatnonzero(uniform >= cumulative[-1])
            within = (uniform[tail] - cumulative[-1]) / self.tail_share
            ranks[tail] = self._tail_rank(within, self.exponent)
        return ranks.astype(np.int64)

    def expected_distinct(self, draws: float, exponent: float | None = None) -> float:
        """Different ids expected among that many draws."""
        exponent = self.exponent if exponent is None else exponent
        seen = -np.expm1(draws * np.log1p(-np.minimum(self.head, 1 - 1e-12))).sum()
        if self.tail_share == 0:
            return float(seen)
        share, ids = self._tail_shares(exponent)
        return float(seen + (ids * -np.expm1(draws * np.log1p(-share))).sum())

    def shares(self) -> tuple[Doubles, Doubles]:
        """Of the draws, an id's share, and how many ids have it: [groups] each."""
        if self.tail_share == 0:
            return self.head, np.ones(len(self.head))
        share, ids = self._tail_shares(self.exponent)
        return np.append(self.head, share), np.append(np.ones(len(self.head)), ids)

    def _tail_shares(self, exponent: float) -> tuple[Doubles, Int64s]:
        """Those of the tail, in bins that widen with the rank; within a bin ids are taken as equally likely."""
        edges = np.unique(np.geomspace(HEAD, self.ids, 4000).astype(np.int64))
        width = np.diff(edges)
        mass = np.diff(self._tail_cdf(edges.astype(np.float64), exponent)) * self.tail_share
        return mass / width, width

    def _solve(self, distinct: int, draws: float) -> float:
        """The tail exponent, by bisection: a steeper tail shows fewer ids."""
        low, high = 0.0, 6.0
        for _ in range(50):
            middle = (low + high) / 2
            if self.expected_distinct(draws, middle) > distinct:
                low = middle
            else:
                high = middle
        return (low + high) / 2

    def _tail_cdf(self, rank: Doubles, exponent: float) -> Doubles:
        power = 1 - exponent if abs(1 - exponent) > 1e-9 else 1e-9
        first, last = float(HEAD + self.shift) ** power, float(self.ids + self.shift) ** power
        cdf: Doubles = ((rank + self.shift) ** power - first) / (last - first)
        return cdf

    def _tail_rank(self, within: Doubles, exponent: float) -> Int64s:
        power = 1 - exponent if abs(1 - exponent) > 1e-9 else 1e-9
        first, last = float(HEAD + self.shift) ** power, float(self.ids + self.shift) ** power
        rank = (first + within * (last - first)) ** (1 / power) - self.shift
        ranks: Int64s = np.floor(rank).astype(np.int64).clip(HEAD, self.ids - 1)
        return ranks


def field_shapes(rows: list[int]) -> list[FieldShape]:
    """The measured shape for each field: that of the Criteo-Kaggle field of the same rank in table length."""
    measured = np.argsort(CRITEO_KAGGLE_ROWS, kind="stable")
    wanted = np.argsort(rows, kind="stable")
    shapes = dict(zip(wanted.tolist(), measured.tolist(), strict=True))
    return [FIELDS[shapes[f]] for f in range(len(rows))]


def draw_numbers(shape: NumberShape, rows: int, random: np.random.Generator) -> Doubles:
    """Whole numbers through the measured quantiles, log-linear in between, NaN where missing."""
    least = shape.least
    q05, q50, q95, q99 = shape.quantiles
    points = np.log1p(np.array([least, q05, q50, q95, q99, q99 * 4 + 1]) - least)
    x = np.expm1(np.interp(random.random(rows), [0, 0.05, 0.5, 0.95, 0.99, 1], points)) + least
    present = random.random(rows) >= shape.missing
    return np.where(present, np.rint(x), np.nan)


def _head(top: float, total: float, ids: int) -> Doubles:
    """Shares of the most popular ids: `top`, then a harmonic fall, flatter where the next would overtake it."""
    ranks = np.arange(2.0, ids + 1)
    for exponent in np.linspace(1, 0, 21):
        falling = ranks**-exponent
        rest = (total - top) * falling / falling.sum()
        if rest[0] <= top:
            break
    return np.concatenate([[top], rest])
