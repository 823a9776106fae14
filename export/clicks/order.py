"""The order in which rows are trained on."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from thimble.export.clicks.cached import Selection
from thimble.export.clicks.rows import Clicks, Rows, joined, rebatched

# Rows of a stream among which the next one is drawn.
BUFFER_ROWS = 1 << 17
_READ_ROWS = 1024


@dataclass(frozen=True)
class ShuffledRows(Rows):
    """Cached rows, in each epoch in an order drawn from all there are. It takes 4 bytes a row while they are read."""

    source: Selection
    seed: int

    @property
    def identity(self) -> str:
        return f"{self.source.identity}; shuffled by seed {self.seed}"

    def read(self, size: int, skip: int = 0, epoch: int = 0) -> Iterator[Clicks]:
        numbers = self.source.numbers[self.start : self.stop].copy()
        np.random.default_rng([self.seed, epoch]).shuffle(numbers)
        return self.source.read_in(numbers[skip:], size)


@dataclass(frozen=True)
class BufferedRows(Rows):
    """Rows of a stream, each drawn by the seed from those of which BUFFER_ROWS are held at a time.

    Rows that lie much farther apart keep their order. What is skipped is read and drawn as well.
    """

    seed: int

    @property
    def identity(self) -> str:
        return f"{self.source.identity}; shuffled among {BUFFER_ROWS} by seed {self.seed}"

    def read(self, size: int, skip: int = 0, epoch: int = 0) -> Iterator[Clicks]:
        random = np.random.default_rng([self.seed, epoch])
        return rebatched(_drawn(self.source.read(self.start, self.stop, _READ_ROWS), random), size, skip)


def _drawn(blocks: Iterator[Clicks], random: np.random.Generator) -> Iterator[Clicks]:
    """Each row takes the place of one that is drawn from the buffer and comes out; in the end all others do."""
    parts: list[Clicks] = []
    rows = 0
    for block in blocks:
        block = block._replace(raw=None)  # it holds the text of the file
        if rows < BUFFER_ROWS:
            parts.append(block)
            rows += len(block.labels)
            if rows >= BUFFER_ROWS:
                parts = [joined(parts)]
            continue
        (buffer,) = parts
        slots = random.choice(rows, len(block.labels), replace=False)
        yield buffer.take(slots)
        for held, came in zip(_arrays(buffer), _arrays(block), strict=True):
            held[slots] = came
    if rows:
        yield joined(parts).take(random.permutation(rows))


def _arrays(clicks: Clicks) -> list[npt.NDArray[Any]]:
    others = (clicks.truth, clicks.groups, clicks.times, clicks.places)
    return [clicks.labels, *clicks.batch, *(array for array in others if array is not None)]
