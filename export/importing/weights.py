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
        """Some of its rows in float32. CheckpointError as above, or it holds no weights at all."""
        if not self.shape:
            raise CheckpointError(f"{self.origin} is a single number, and no weights")
        stored = self.stored(which)
        if stored.dtype.kind != "f":
            raise CheckpointError(f"{self.origin} holds {stored.dtype}, and weights are floats; save it as float32")
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, which is said
            values = stored.astype(np.float32)
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
        """A list of whole numbers, in int64. CheckpointError: it is none, or is empty."""
        stored = self.stored(slice(None)) if len(self.shape) == 1 else np.empty(0)
        if stored.dtype.kind not in "iu" or not stored.size:
            raise CheckpointError(f"{self.origin} is no list of whole numbers")
        return stored.astype(np.int64)

    def transposed(self) -> "Weight":
        """With its last two dimensions the other way round; as it is if it has fewer."""
        if len(self.shape) < 2:
            return self
        shape = (*self.shape[:-2], self.shape[-1], self.shape[-2])
        return Weight(shape, self.origin, lambda which: self.stored(slice(None)).swapaxes(-2, -1)[which])


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
        try:
            raw = np.memmap(self.path, np.uint8, "r", self.offset, (self.end - self.offset,))
        except (OSError, ValueError):  # it was whole when it was opened
            raise CheckpointError(f"{self.path} was taken away or cut off while it was read") from None
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
