"""Clicks of our own: marginals as measured on real Criteo lines, labels drawn from a hidden truth.

Each field's ids follow a head of ten with the measured shares and a truncated Pareto tail, shifted where the head is
flat, whose exponent is solved for so that 10,000 lines show as many different ids as the real ones did. The truth is a
factorisation machine over those ids plus the logged numbers, so it has interactions, and its own AUC is the best that
any model can reach.

Rows come in blocks, each from a random stream of its own, so any range of rows can be made without those before it.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from thimble.export.clicks import ClickError, Clicks
from thimble.models.features import Batch
from thimble.models.hashing import Floats, Int64s
from thimble.models.presets import CRITEO_DENSE, CRITEO_KAGGLE_ROWS
from thimble.models.spec import ModelSpec

Doubles = npt.NDArray[np.float64]

LABEL_RATE = 0.218
# Standard deviation of the true logits. Ours: it puts the best reachable AUC near .82, where real Criteo models are.
LOGIT_SPREAD = 1.4
BLOCK = 4096
HEAD = 10
LATENT = 3


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
        # the tail's ranks in bins that widen with the rank; within a bin they are taken as equally likely
        edges = np.unique(np.geomspace(HEAD, self.ids, 4000).astype(np.int64))
        width = np.diff(edges)
        mass = np.diff(self._tail_cdf(edges.astype(np.float64), exponent)) * self.tail_share
        return float(seen + (width * -np.expm1(draws * np.log1p(-mass / width))).sum())

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


class GeneratedClicks:
    """A click source of any length for a model with Criteo's features. The same seed gives the same clicks."""

    def __init__(self, spec: ModelSpec, rows: int, seed: int) -> None:
        if spec.dense != CRITEO_DENSE or len(spec.fields) != len(FIELDS):
            raise ClickError("clicks can be generated for Criteo's 13 numbers and 26 fields only")
        self.rows = rows
        self.seed = seed
        self.table_rows = [field.rows for field in spec.fields]
        if min(self.table_rows) < 3:
            raise ClickError("clicks can be generated for tables of at least 3 rows only")
        self.shapes = field_shapes(self.table_rows)
        # id 0 means missing, so a table of n rows has n - 1 ids
        self.popularity = [Popularity(shape, n - 1) for shape, n in zip(self.shapes, self.table_rows, strict=True)]
        truth = np.random.default_rng([seed, 1])
        self.number_weights = truth.normal(0, 0.25, len(NUMBERS))
        self.field_weights = truth.lognormal(-1.6, 0.6, len(FIELDS))
        self.salts = truth.integers(1, 2**63, len(FIELDS), dtype=np.uint64)
        self.multipliers = [_coprime(int(truth.integers(1, 2**31)), n - 1) for n in self.table_rows]

    @property
    def description(self) -> str:
        return f"generated clicks, seed {self.seed}"

    @property
    def identity(self) -> str:
        return self.description

    def count(self) -> int:
        return self.rows

    def read(self, start: int, stop: int, size: int) -> Iterator[Clicks]:
        blocks: dict[int, Clicks] = {}
        for position in range(start, stop, size):
            end = min(position + size, stop)
            needed = range(position // BLOCK, (end - 1) // BLOCK + 1)
            blocks = {index: blocks.get(index) or self._block(index) for index in needed}
            offset = position - needed.start * BLOCK
            yield _sliced(list(blocks.values()), offset, offset + end - position)

    def _block(self, index: int) -> Clicks:
        random = np.random.default_rng([self.seed, 2, index])
        logits, batch = self._rows(random)
        scale, bias = self._calibration
        truth = logits * scale + bias
        labels = (random.random(BLOCK) < 1 / (1 + np.exp(-truth))).astype(np.float32)
        return Clicks(labels, batch, truth=truth)

    @cached_property
    def _calibration(self) -> tuple[float, float]:
        """Scale and bias that give the hidden logits a spread of LOGIT_SPREAD and clicks a mean rate of LABEL_RATE."""
        logits = np.concatenate([self._rows(np.random.default_rng([self.seed, 3, i]))[0] for i in range(8)])
        scale = LOGIT_SPREAD / float(logits.std())
        low, high = -20.0, 20.0
        for _ in range(50):
            middle = (low + high) / 2
            rate = (1 / (1 + np.exp(-logits * scale - middle))).mean()
            low, high = (middle, high) if rate < LABEL_RATE else (low, middle)
        return scale, low

    def _rows(self, random: np.random.Generator) -> tuple[Doubles, Batch]:
        dense = np.stack([_draw_numbers(shape, random) for shape in NUMBERS], axis=1)
        ids = np.zeros((BLOCK, len(self.shapes)), dtype=np.int64)
        logged = np.log(np.maximum(np.nan_to_num(dense), 0) + 1)
        logits = (np.tanh(logged / 4 - 0.5) @ self.number_weights) * 1.5
        total, squares = np.zeros((BLOCK, LATENT)), np.zeros((BLOCK, LATENT))
        for f, shape in enumerate(self.shapes):
            ranks = self.popularity[f].draw(random.random(BLOCK))
            n = self.table_rows[f] - 1
            present = random.random(BLOCK) >= shape.missing
            ids[:, f] = np.where(present, 1 + ranks * self.multipliers[f] % n, 0)
            # a rare id says little of itself, as in life: most of the truth is with ids that can be learnt
            weight = self.field_weights[f] / np.sqrt(1 + ranks / 1000)
            effect = _effects(ids[:, f], self.salts[f]) * weight[:, None]
            logits += effect[:, 0]
            total += effect[:, 1:]
            squares += effect[:, 1:] ** 2
        logits += 0.5 * (total**2 - squares).sum(axis=1)  # all pairs of fields, as in a factorisation machine
        return logits, Batch(dense.astype(np.float32), ids)


def _draw_numbers(shape: NumberShape, random: np.random.Generator) -> Doubles:
    """Whole numbers through the measured quantiles, log-linear in between."""
    least = shape.least
    q05, q50, q95, q99 = shape.quantiles
    points = np.log1p(np.array([least, q05, q50, q95, q99, q99 * 4 + 1]) - least)
    x = np.expm1(np.interp(random.random(BLOCK), [0, 0.05, 0.5, 0.95, 0.99, 1], points)) + least
    present = random.random(BLOCK) >= shape.missing
    return np.where(present, np.rint(x), np.nan)


def _effects(ids: Int64s, salt: np.uint64) -> Floats:
    """1 + LATENT numbers of mean 0 and variance 1 for each id, the same whenever the id comes: splitmix64's lanes."""
    with np.errstate(over="ignore"):
        z = ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + salt
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    lanes = z.view(np.uint16).reshape(-1, 4)
    effects: Floats = ((lanes.astype(np.float32) + 0.5) / 65536 - 0.5).astype(np.float32, copy=False)
    return effects * np.float32(12**0.5)


def _head(top: float, total: float, ids: int) -> Doubles:
    """Shares of the most popular ids: `top`, then a harmonic fall, flatter where the next would overtake it."""
    ranks = np.arange(2.0, ids + 1)
    for exponent in np.linspace(1, 0, 21):
        falling = ranks**-exponent
        rest = (total - top) * falling / falling.sum()
        if rest[0] <= top:
            break
    return np.concatenate([[top], rest])


def _coprime(start: int, n: int) -> int:
    """The first number from `start` on that shares no factor with n, so that multiplying by it permutes 0..n-1."""
    start %= n
    while np.gcd(start, n) != 1:
        start += 1
    return start


def _sliced(blocks: list[Clicks], start: int, stop: int) -> Clicks:
    """Rows start..stop of some blocks one after the other."""
    batch = Batch.joined([block.batch for block in blocks]).part(start, stop)
    truth = np.concatenate([block.truth for block in blocks if block.truth is not None])[start:stop]
    labels = np.concatenate([block.labels for block in blocks])[start:stop]
    return Clicks(labels, batch, truth=truth)
