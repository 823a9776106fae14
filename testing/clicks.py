"""Files of clicks of a small model, and what is read from them."""

import gzip
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from testing.samples import small_spec
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.rows import Clicks, Rows
from thimble.models.features import Batch

RARE_SPEC = small_spec(dense=1, kinds=("hex", "hex"), dim=8, rows=13)
CLICK_SPEC = small_spec(dense=2, kinds=("int", "hex", "string"))


def lines(count: int, first: int = 0) -> list[str]:
    """Criteo lines of CLICK_SPEC whose int id is the row's number."""
    return [f"{i % 2}\t{i}\t{'' if i % 3 else -i}\t{i}\t{i:x}\ts{i}" for i in range(first, first + count)]


def write_lines(path: Path, rows: list[str]) -> Path:
    text = "".join(f"{row}\n" for row in rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode("utf-8", "surrogateescape")))
    else:
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return path


def numbers(parts: Iterable[Clicks]) -> list[int]:
    return [int(value) for part in parts for value in part.batch.ids[:, 0]]


def everything(source: FileClicks) -> Clicks:
    (clicks,) = source.read(0, source.count(), max(1, source.count()))
    return clicks


@contextmanager
def arrow_threads(number: int) -> Iterator[None]:
    """As if the machine had so many cores, for Arrow and for those who read click files."""
    before = pa.cpu_count()
    pa.set_cpu_count(number)
    try:
        yield
    finally:
        pa.set_cpu_count(before)


@dataclass
class ClicksInMemory:
    """A click source of rows that are at hand."""

    clicks: Clicks
    description: str = "clicks in memory"
    files: Sequence[Path] = ()

    @property
    def identity(self) -> str:
        return self.description

    def count(self) -> int:
        return len(self.clicks.labels)

    def read(self, start: int, stop: int, size: int) -> Iterator[Clicks]:
        for first in range(start, stop, size):
            yield part(self.clicks, slice(first, min(first + size, stop)))

    def rows(self) -> Rows:
        return Rows(self, 0, self.count())


def part(clicks: Clicks, rows: Any) -> Clicks:
    """The rows that an index of numpy's stands for."""
    truth = None if clicks.truth is None else clicks.truth[rows]
    return Clicks(clicks.labels[rows], Batch._make(array[rows] for array in clicks.batch), truth=truth)


def rare_clicks(rows: int, seed: int = 0) -> Clicks:
    """Rows of RARE_SPEC, of which about 8 % are clicks, more with some ids than with others."""
    random = np.random.default_rng(seed)
    ids = random.integers(1, 13, (rows, 2))
    truth = -4 + 1.2 * (ids[:, 0] % 3) - 0.8 * (ids[:, 1] % 2) + 0.6 * ((ids[:, 0] + ids[:, 1]) % 2)
    labels = (random.random(rows) < 1 / (1 + np.exp(-truth))).astype(np.float32)
    return Clicks(labels, Batch(random.normal(size=(rows, 1)).astype(np.float32), ids), truth=truth)


def sampled(clicks: Clicks, negatives_kept: float, seed: int = 0) -> Clicks:
    """Those rows with all clicks and about this share of the others."""
    drawn = np.random.default_rng([seed, 1]).random(len(clicks.labels))  # not what rows were made of
    return part(clicks, (clicks.labels > 0.5) | (drawn < negatives_kept))
