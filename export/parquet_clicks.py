"""Parquet: columns from the file to the model's arrays, numbers without a Python object in between."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet
import pyarrow.types as types

from thimble.export.click_tables import TABLE_ROWS, Encoded, EncodedLabels, Table, column_index, encode_labels
from thimble.export.clicks import ClickError
from thimble.models.conversions import Column
from thimble.models.features import encode_column
from thimble.models.hashing import ID_LIMIT, Floats, Int64s
from thimble.models.inputs import ValueKind

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ArrowTable:
    """Rows of Arrow arrays of any types."""

    lines: range
    columns: Sequence[Any]
    misfits: ClassVar[dict[int, str]] = {}

    def part(self, start: int, stop: int) -> "ArrowTable":
        return ArrowTable(self.lines[start:stop], [column[start:stop] for column in self.columns])

    def labels(self) -> EncodedLabels:
        array = self.columns[0]
        if (types.is_boolean(array.type) or _is_number(array.type)) and not array.null_count:
            labels = array.to_numpy(zero_copy_only=False)
            if np.isin(labels, (0, 1)).all():
                return (labels == 1).astype(np.float32), {}
        return encode_labels(array.to_pylist())

    def encode(self, column: int, kind: ValueKind) -> Encoded:
        """Numbers all at once, but for the doubtful ones, which are encoded as values of other types are."""
        array = self.columns[column]
        if not _is_number(array.type) or kind not in ("number", "int"):
            return encode_column(kind, _values(array), typed=True)
        encoded, doubtful = _numbers(array) if kind == "number" else _ids(array)
        rows = np.flatnonzero(doubtful)
        if not len(rows):
            return encoded, {}
        encoded[rows], bad = encode_column(kind, _values(array.take(pa.array(rows))), typed=True)
        return encoded, {int(rows[i]): reason for i, reason in bad.items()}

    def values(self, column: int) -> Column:
        return _values(self.columns[column])


class ParquetFile:
    """A file of which the columns `names` are read."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self.path = path
        self.names = list(names)

    def count(self) -> int:
        try:
            with pyarrow.parquet.ParquetFile(self.path) as file:
                return int(file.metadata.num_rows)
        except (pa.ArrowInvalid, OSError) as error:
            raise ClickError(f"{self.path.name}: not readable as Parquet: {error}") from None

    def tables(self, start: int, stop: int) -> Iterator[Table]:
        position = 0
        try:
            with pyarrow.parquet.ParquetFile(self.path) as file:
                for name in self.names:
                    column_index(self.path.name, file.schema_arrow.names, name)
                for block in file.iter_batches(batch_size=TABLE_ROWS, columns=self.names):
                    lines = range(position + 1, position + 1 + len(block))
                    table = ArrowTable(lines, [block.column(name) for name in self.names])
                    first = position
                    position += len(block)
                    if position > start:
                        yield table.part(max(0, start - first), stop - first)
                    if position >= stop:
                        break
        except (pa.ArrowException, OSError) as error:
            raise ClickError(f"{self.path.name}: damaged after row {position}: {error}") from None


def _is_number(kind: Any) -> bool:
    return bool(types.is_integer(kind) or types.is_float32(kind) or types.is_float64(kind))


def _numbers(array: Any) -> tuple[Floats, Mask]:
    """float32 by way of float64, as other numbers are; doubtful is what float32 cannot hold."""
    with np.errstate(over="ignore"):
        numbers = array.to_numpy(zero_copy_only=False).astype(np.float64).astype(np.float32)
    return numbers, np.isinf(numbers)


def _ids(array: Any) -> tuple[Int64s, Mask]:
    """Missing ids are 0; doubtful is what is none, fractions among them: gaps make a data frame's integers floats."""
    found = array.fill_null(0).to_numpy()
    if types.is_floating(array.type):
        found = np.where(np.isnan(found), 0, found)
    doubtful = (found < 0) | (found >= ID_LIMIT) | (found != np.trunc(found))
    return np.where(doubtful, 0, found).astype(np.int64), doubtful


def _values(array: Any) -> Column:
    """Python values. Data frames write a missing number as NaN."""
    if types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if types.is_string(array.type) or types.is_large_string(array.type):
        texts: list[str | None] = array.to_numpy(zero_copy_only=False).tolist()  # ten times as fast as to_pylist
        return texts
    return [None if value != value else value for value in array.to_pylist()]
