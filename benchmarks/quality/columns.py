"""Generated columns of numbers, and labels that follow them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]
Draw = Callable[[np.random.Generator, int], Array]

COLUMNS: dict[str, Draw] = {
    "normal": lambda random, rows: random.normal(size=rows),
    "long tail": lambda random, rows: np.exp(3 * random.normal(size=rows)),
    "two long tails": lambda random, rows: np.sinh(2.5 * random.normal(size=rows)),
    "below zero": lambda random, rows: -np.exp(1.5 * random.normal(size=rows)),
    "tiny, 1e-6": lambda random, rows: 1e-6 * random.normal(size=rows),
    "huge, 1e12": lambda random, rows: 1e12 * (random.normal(size=rows) + 5),
    "counts": lambda random, rows: np.floor(np.exp(1.5 * random.normal(size=rows) + 1)),
    "two values": lambda random, rows: (random.random(rows) < 0.3).astype(np.float64),
    "two hills": lambda random, rows: random.choice((-1000, 1000), rows) + random.normal(size=rows),
    "mostly zero": lambda random, rows: np.where(random.random(rows) < 0.6, 0, np.exp(1.5 * random.normal(size=rows))),
    "one bad value": lambda random, rows: np.append(1e38, np.exp(3 * random.normal(size=rows - 1))),
    "30 % missing": lambda random, rows: np.where(random.random(rows) < 0.3, np.nan, random.normal(size=rows)),
    "constant": lambda random, rows: np.full(rows, 3.0),
}


def _ranks(column: Array) -> Array:
    """-1 for the least value to 1 for the greatest, 0.8 for a missing one."""
    ranks: Array = np.full(len(column), 0.8)
    known = ~np.isnan(column)
    _, places, counts = np.unique(column[known], return_inverse=True, return_counts=True)
    ranks[known] = ((2 * np.cumsum(counts) - counts) / known.sum() - 1)[places]
    return ranks


def _linear(column: Array) -> Array:
    known = column[~np.isnan(column)]
    middle = np.clip(known, *np.quantile(known, (0.02, 0.98)))
    logits: Array = np.nan_to_num(2 * np.clip((column - np.median(known)) / (middle.std() or 1), -3, 3), nan=2)
    return logits


LABELS: dict[str, Callable[[Array], Array]] = {
    "rising": lambda column: 3 * _ranks(column),
    "up and down": lambda column: 2.5 * np.sin(4 * _ranks(column)),
    "linear": _linear,
}
"""The logits of the labels."""


def drawn(column: str, label: str, rows: int, seed: int) -> tuple[Array, Array, Array]:
    """A column in float32, labels, and the probabilities that these were drawn with."""
    random = np.random.default_rng([seed, 7])
    x = COLUMNS[column](random, rows)
    best = 1 / (1 + np.exp(-LABELS[label](x)))
    labels = (random.random(rows) < best).astype(np.float32)
    return x.astype(np.float32), labels, best.astype(np.float32)
