"""Rows of clicks: from a file of Criteo lines, or generated."""

import gzip
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from thimble.loadtests.traffic.served import Feature, LoadError, Single, Value
from thimble.models.bag_values import values_of

Row = list[Value]
Bags = Literal["any", "full"]

LINES_READ = 100_000
MISSING_SHARE = 0.1
ZIPF = 1.2
IDS = 1 << 32
# Odd, so that it maps ranks to ids one to one, and popular ids lie anywhere.
SCATTER = 0x9E3779B1


def drawn(features: Sequence[Feature], clicks: Path | None, count: int, seed: int, bags: Bags = "any") -> list[Row]:
    """So many rows, their values in the features' order. LoadError: the file does not hold such rows."""
    random = np.random.default_rng([seed, 1])
    if clicks is None:
        return generated(features, count, random, bags)
    lines = _lines(clicks, len(features))
    return [_parsed(features, lines[at], clicks) for at in random.integers(len(lines), size=count)]


def generated(features: Sequence[Feature], count: int, random: np.random.Generator, bags: Bags = "any") -> list[Row]:
    """Ids by Zipf's law, popular ones scattered over 32 bits; numbers that are mostly small and rarely large.

    Bags have `any` number of ids that they have room for, one at least unless they are missing, or are `full`.
    """
    columns = [_column(it, count, random) if it.bag is None else _bags(it, count, random, bags) for it in features]
    return [list(row) for row in zip(*columns, strict=True)]


def _column(feature: Feature, count: int, random: np.random.Generator) -> Sequence[Value]:
    missing = random.random(count) < MISSING_SHARE
    if feature.kind == "number":
        values = np.floor(random.lognormal(1.5, 1.5, count)).astype(np.int64)
        return [None if gone else value for value, gone in zip(values.tolist(), missing, strict=True)]
    ids = _ids(feature, count, random)
    return [None if gone else i for i, gone in zip(ids, missing, strict=True)]


def _bags(feature: Feature, count: int, random: np.random.Generator, bags: Bags) -> Sequence[Value]:
    assert feature.bag
    values = feature.bag.values
    sizes = np.full(count, values)
    if bags == "any":
        sizes = np.where(random.random(count) < MISSING_SHARE, 0, random.integers(1, values, count, endpoint=True))
    ids, ends = _ids(feature, int(sizes.sum()), random), np.cumsum(sizes).tolist()
    return [ids[end - size : end] for end, size in zip(ends, sizes.tolist(), strict=True)]


def _ids(feature: Feature, count: int, random: np.random.Generator) -> list[Single]:
    ids = (np.minimum(random.zipf(ZIPF, count), IDS - 1) * SCATTER + random.integers(IDS)) % IDS
    return [_written(feature.kind, i) for i in ids.tolist()]


def _written(kind: str, number: int) -> Single:
    match kind:
        case "int":
            return number
        case "hex":
            return f"{number:08x}"
    return f"item-{number}"


def _lines(path: Path, columns: int) -> list[str]:
    try:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
            lines = [line.rstrip("\r\n") for line in itertools.islice(file, LINES_READ)]
    except (OSError, UnicodeDecodeError) as error:
        raise LoadError(f"cannot read clicks from {path}: {error}") from None
    for number, line in enumerate(lines, 1):
        if (found := line.count("\t") + 1) not in (columns, columns + 1):
            raise LoadError(f"{path}, line {number}: {found} columns, but the model has {columns} features")
    if not lines:
        raise LoadError(f"{path} is empty")
    return lines


def _parsed(features: Sequence[Feature], line: str, path: Path) -> Row:
    tokens = line.split("\t")[-len(features) :]  # without the label, where there is one
    try:
        return [_read(feature, token) for feature, token in zip(features, tokens, strict=True)]
    except ValueError as error:
        raise LoadError(f"{path}: {error}") from None


def _read(feature: Feature, token: str) -> Value:
    if feature.bag is None:
        return _value(feature.kind, token)
    return [_value(feature.kind, value) for value in values_of(token, feature.bag.separator)]


def _value(kind: str, token: str) -> Single:
    if not token.strip():
        return None
    if kind == "number":
        number = float(token)
        return int(number) if number.is_integer() else number
    return int(token) if kind == "int" else token
