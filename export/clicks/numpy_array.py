"""An array [rows, width] in a file of NumPy, which is read some rows at a time.

It is not mapped into memory: a mapped file that is cut short while it is read ends the process.
"""

import os
from collections.abc import Sequence
from io import BufferedReader
from pathlib import Path
from textwrap import shorten
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from thimble.export.clicks.rows import ClickError

Array = npt.NDArray[Any]

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class StoredArray(NamedTuple):
    """Where an array's values are in its file: from byte `start` on, row by row, or else column by column."""

    dtype: np.dtype[Any]
    shape: tuple[int, int]
    by_column: bool
    start: int

    @staticmethod
    def find(path: Path, dtypes: Sequence[npt.DTypeLike], words: str, width: int) -> "StoredArray":
        """ClickError: it is damaged, or no array [rows, width] of one of these types, which are called `words`."""
        with path.open("rb") as file:
            try:
                shape, by_column, dtype = _HEADERS[np.lib.format.read_magic(file)](file)
            except OSError:
                raise
            except Exception as error:  # a header is an expression in Python, so what is wrong in it may raise anything
                reason = shorten(str(error) or type(error).__name__, 160)
                raise ClickError(f"{path.name} is not readable as NumPy: {reason}") from None
            start, size = file.tell(), os.fstat(file.fileno()).st_size
        if dtype not in dtypes or shape[1:] != (width,) or not all(type(it) is int and it >= 0 for it in shape):
            raise ClickError(f"{path.name} holds {dtype} {list(shape)}, where {words} [rows, {width}] is wanted")
        if size < start + shape[0] * width * dtype.itemsize:
            raise ClickError(f"{path.name} is damaged: {size:,} bytes are too few for {shape[0]:,} rows")
        return StoredArray(dtype, (shape[0], width), by_column, start)

    def columns(self, file: BufferedReader, start: int, stop: int) -> list[Array]:
        """The columns of rows start..stop. OSError: the file has become shorter."""
        rows, width = self.shape
        if self.by_column:
            return [self._values(file, column * rows + start, stop - start) for column in range(width)]
        block = self._values(file, start * width, (stop - start) * width)
        return [*np.ascontiguousarray(block.reshape(stop - start, width).T)]

    def _values(self, file: BufferedReader, first: int, number: int) -> Array:
        values = np.empty(number, self.dtype)
        file.seek(self.start + first * self.dtype.itemsize)
        if file.readinto(values.view(np.uint8).data) < values.nbytes:
            raise OSError(f"{Path(file.name).name} has become shorter")
        return values
