"""Clicks of our own: marginals as measured on real Criteo lines, labels drawn from a hidden truth.

The truth is a factorisation machine over the ids plus the logged numbers, so it has interactions, and its own AUC is
the best that any model can reach.

Rows come in blocks, each from a random stream of its own, so any range of rows can be made without those before it.
"""

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from thimble.export.clicks.marginals import FIELDS, NUMBERS, Doubles, Popularity, draw_numbers, field_shapes
from thimble.export.clicks.rows import ClickError, Clicks
from thimble.models.features import Batch
from thimble.models.hashing import Floats, Int64s
from thimble.models.presets import CRITEO_DENSE
from thimble.models.spec import GENERATED_CLICKS, ModelSpec

LABEL_RATE = 0.218
# Standard deviation of the true logits. Ours: it puts the best reachable AUC near .82, where real Criteo models are.
LOGIT_SPREAD = 1.4
BLOCK = 4096
LATENT = 3


class GeneratedClicks:
    """A click source of any length for a model with Criteo's features. The same seed gives the same clicks."""

    files = ()

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
        return f"{GENERATED_CLICKS}, seed {self.seed}"

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
        dense = np.stack([draw_numbers(shape, BLOCK, random) for shape in NUMBERS], axis=1)
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
