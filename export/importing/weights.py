"""Tensors of a checkpoint, whose values are read when they are needed and not kept."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from thimble.models.hashing import Floats, Int64s

READ_VALUES = 1 << 22
"""That are read at a time."""

Which = slice | Int64s


class CheckpointError(ValueError):
    """Why a checkpoint cannot be imported, in one sentence."""


@dataclass(frozen=True)
class Weight:
    """A tensor. `stored` gives some of its rows, which are its first dimension, as they are stored.

    `origin` names it to people.
    """

    shape: tuple[int, ...]
    origin: str
    stored: Callable[[Which], npt.NDArray[Any]]

    def read(self) -> Floats:
        """All of it in float32. CheckpointError: a value is no finite number."""
        return self.rows(slice(None))

    def rows(self, which: Which) -> Floats:
        """Some of its rows in float32. CheckpointError as above."""
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, which is said
            values = self.stored(which).astype(np.float32)
        if not np.isfinite(values).all():
            bad = np.argmax(~np.isfinite(values).reshape(len(values), -1).all(1))
            row = np.arange(self.shape[0])[which][bad]
            raise CheckpointError(f"{self.origin} holds a value that is no finite float32 number, in row {row}")
        return values

    def parts(self) -> Iterator[Floats]:
        """All of it in float32, a few rows at a time. CheckpointError as above."""
        step = max(1, READ_VALUES // max(1, int(np.prod(self.shape[1:]))))
        for start in range(0, self.shape[0], step):
            yield self.rows(slice(start, start + step))

    def integers(self) -> Int64s:
        """All of it in int64, as it is stored."""
        return self.stored(slice(None)).astype(np.int64)


@dataclass(frozen=True)
class Span:
    """Where a tensor's values lie in a file. `strides` and `offset` are in bytes."""

    path: Path
    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    bfloat16: bool = False

    def stored(self, which: Which) -> npt.NDArray[Any]:
        """Some of its rows. The file is mapped into memory as long as they are."""
        raw = np.memmap(self.path, np.uint8, "r", self.offset, (self.end - self.offset,))
        rows: npt.NDArray[Any] = np.ndarray(self.shape, self.dtype, raw, 0, self.strides)[which]
        return (rows.astype(np.uint32) << 16).view(np.float32) if self.bfloat16 else rows

    @property
    def end(self) -> int:
        """Of its last value."""
        last = sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))
        return self.offset + last + self.dtype.itemsize


def held(values: npt.NDArray[Any], origin: str) -> Weight:
    """A weight that is in memory already."""
    return Weight(values.shape, origin, lambda which: values[which])
