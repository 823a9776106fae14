"""Clicks that are tried on: rows in memory, ids numbered from 0 as rows of full tables are."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.quality.movielens import table
from thimble.export.clicks.generate import GeneratedClicks
from thimble.export.training.schema import OwnModel
from thimble.models.hashing import Floats, Int64s
from thimble.models.presets import CRITEO_DENSE, CRITEO_KAGGLE_ROWS, criteo_fields

LARGEST = 50_000


@dataclass(frozen=True)
class Data:
    """Rows in the order in which they are split: the first `training` to train on, then `validation`, then held out."""

    name: str
    dense: Floats
    ids: Int64s
    labels: Floats
    tables: list[int]
    training: int
    validation: int
    batch_size: int
    epochs: int

    def taken(self, part: slice | Int64s) -> tuple[Floats, Int64s, Floats]:
        return self.dense[part], self.ids[part], self.labels[part]


def movielens(wheel: Path, seed: int) -> Data:
    """Was a rating a 4 or a 5: users and items alone, each seen often. A random fifth is held out."""
    events = np.random.default_rng(seed).permutation(np.array(table(wheel, "inter"), dtype=np.float64))
    ids, labels = events[:, :2].astype(np.int64), (events[:, 2] >= 4).astype(np.float32)
    tables = [int(column.max()) + 1 for column in ids.T]
    none = np.zeros((len(labels), 0), np.float32)
    return Data("MovieLens-100k", none, ids, labels, tables, 72_000, 8_000, 512, 4)


def generated(rows: int, seed: int) -> Data:
    """Criteo-Kaggle's features, the largest tables cut down."""
    tables = [min(length, LARGEST) for length in CRITEO_KAGGLE_ROWS]
    fields = [field.name for field in criteo_fields(tables)]
    spec = OwnModel(dense=CRITEO_DENSE, fields={"hex": fields}).spec(dict(zip(fields, tables, strict=True)))
    total = rows + 20_000 + 50_000
    (clicks,) = GeneratedClicks(spec, total, seed).read(0, total, total)
    return Data("generated", clicks.batch.dense, clicks.batch.ids, clicks.labels, tables, rows, 20_000, 1024, 2)


def long_tail(rows: int, seed: int) -> Data:
    """Users and items by Zipf's law, most of the ids rare, and what they think of each other a product of factors."""
    random = np.random.default_rng([seed, 9])
    tables, exponents = [10_000, 20_000, 500, 24], [0.8, 1.05, 0.7, 0.3]
    total = rows + 20_000 + 50_000
    ids = np.stack([_zipf(random, n, e, total) for n, e in zip(tables, exponents, strict=True)], axis=1)
    factors = [random.normal(size=(n, 3)) for n in tables]
    effects = np.stack([of_field[column] for of_field, column in zip(factors, ids.T, strict=True)], axis=1)
    pairs = effects[..., 1:].sum(1) ** 2 - (effects[..., 1:] ** 2).sum(1)
    logits = effects[..., 0] @ [0.6, 0.8, 0.4, 0.2] + 0.3 * pairs.sum(1)
    labels = (random.random(total) < 1 / (1 + np.exp(1.3 - logits))).astype(np.float32)
    none = np.zeros((total, 0), np.float32)
    return Data("long tail", none, ids, labels, tables, rows, 20_000, 1024, 3)


def _zipf(random: np.random.Generator, ids: int, exponent: float, rows: int) -> Int64s:
    shares = np.arange(1.0, ids + 1) ** -exponent
    drawn = np.searchsorted(np.cumsum(shares) / shares.sum(), random.random(rows)).clip(max=ids - 1)
    numbers: Int64s = random.permutation(ids)[drawn]
    return numbers
