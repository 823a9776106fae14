"""Parquet: columns from the file to the model's arrays, numbers without a Python object in between."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet
import pyarrow.types as types

from thimble.export.clicks.arrow_types import is_text, misfit, readable, texts
from thimble.export.clicks.folders import FoundFile
from thimble.export.clicks.headers import column_index
from thimble.export.clicks.rows import ClickError
from thimble.export.clicks.tables import TABLE_ROWS, Columns, Encoded, EncodedLabels, Table, encode_labels
from thimble.models.conversions import EXACT_FLOATS, Column
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
        if _is_number(array.type) and not array.null_count:
            labels = array.to_numpy(zero_copy_only=False)
            if np.isin(labels, (0, 1)).all():
                return (labels == 1).astype(np.float32), {}
        return encode_labels(_values(array))

    def encode(self, column: int, kind: ValueKind) -> Encoded:
        """Numbers all at once, but for the doubtful ones, which are encoded as values of other types are."""
        array = self.columns[column]
        if kind == "number" and is_text(array.type):
            return encode_column(kind, [text or "" for text in texts(array)], typed=False)
        if not _is_number(array.type) or kind not in ("number", "int"):
            return encode_column(kind, _values(array), typed=True)
        encoded, doubtful = _numbers(array) if kind == "number" else _ids(array)
        rows = np.flatnonzero(doubtful)
        if not len(rows):
            return encoded, {}
        values = _values(array.take(pa.array(rows)))
        if kind == "int" and types.is_floating(array.type):
            values = _of_width(array.type, values)
        encoded[rows], bad = encode_column(kind, values, typed=True)
        return encoded, {int(rows[i]): reason for i, reason in bad.items()}

    def values(self, column: int) -> Column:
        return _values(self.columns[column])


class ParquetFile:
    """A file of which the columns are read that are named. One that its folders' names give as well is read from it.

    It is opened here, since Arrow opens no file whose name is not UTF-8.
    """

    named = True
    unit = "row"

    def __init__(self, file: FoundFile, columns: Columns) -> None:
        self.path, self.name, self.given = file
        self.columns = columns

    def check(self) -> None:
        self.count()

    def count(self) -> int:
        try:
            with self.path.open("rb") as raw, pyarrow.parquet.ParquetFile(raw) as file:
                self._check(file.schema_arrow)
                return int(file.metadata.num_rows)
        except ClickError as error:
            raise ClickError(f"{self.name}: {error}") from None
        except (pa.ArrowException, OSError) as error:
            raise ClickError(f"{self.name}: not readable as Parquet: {error}") from None

    def key_types(self) -> list[Any]:
        with self.path.open("rb") as raw:
            schema = pyarrow.parquet.read_schema(raw)
        return [schema.field(name).type if name in schema.names else pa.string() for name in self.columns.keys]

    def tables(self, start: int, stop: int) -> Iterator[Table]:
        position = 0
        try:
            with self.path.open("rb") as raw, pyarrow.parquet.ParquetFile(raw) as file:
                self._check(file.schema_arrow)
                there = set(self.columns.names).intersection(file.schema_arrow.names)
                for block in file.iter_batches(batch_size=TABLE_ROWS, columns=sorted(there)):
                    lines = range(position + 1, position + 1 + len(block))
                    table = self._table(lines, block)
                    first = position
                    position += len(block)
                    if position > start:
                        yield table.part(max(0, start - first), stop - first)
                    if position >= stop:
                        break
        except (pa.ArrowException, OSError) as error:
            raise ClickError(f"{self.name}: damaged after row {position}: {error}") from None

    def _check(self, schema: Any) -> None:
        """ClickError: a column is not there, or none of its rows could be read."""
        there = [*schema.names, *(name for name in self.given if name not in schema.names)]
        for name in self.columns.names:
            column_index(there, name)
        for feature, options in self.columns.encoded:
            if feature.name not in schema.names:
                continue
            if reason := misfit(feature.kind, schema.field(feature.name).type, options):
                raise ClickError(f"column {feature.name!r}: {reason}")

    def _table(self, lines: range, block: Any) -> ArrowTable:
        def column(name: str) -> Any:
            there = name in block.schema.names
            return block.column(name) if there else _repeated(self.given[name], len(block))

        encoded = [readable(it.kind, column(it.name), options) for it, options in self.columns.encoded]
        return ArrowTable(lines, [*encoded, *map(column, self.columns.keys)])


def _repeated(value: str, rows: int) -> Any:
    """What a folder's name gives: text, or bytes where that is none."""
    try:
        return pa.array([value] * rows, pa.string())
    except UnicodeEncodeError:
        return pa.array([value.encode("utf-8", "surrogateescape")] * rows, pa.binary())


def _is_number(kind: Any) -> bool:
    return bool(types.is_integer(kind) or types.is_floating(kind))


def _numbers(array: Any) -> tuple[Floats, Mask]:
    """float32 by way of float64, as other numbers are; doubtful is what float32 cannot hold."""
    with np.errstate(over="ignore"):
        numbers = array.to_numpy(zero_copy_only=False).astype(np.float64).astype(np.float32)
    return numbers, np.isinf(numbers)


def _ids(array: Any) -> tuple[Int64s, Mask]:
    """Missing ids are 0; doubtful is what is none, fractions among them: gaps make a data frame's integers floats."""
    found, limit = array.fill_null(0).to_numpy(), ID_LIMIT
    if types.is_floating(array.type):
        found = np.where(np.isnan(found), 0, found)
        limit = EXACT_FLOATS[found.dtype.type]
    doubtful = (found < 0) | (found >= limit) | (found != np.trunc(found))
    return np.where(doubtful, 0, found).astype(np.int64), doubtful


def _of_width(type_: Any, values: Column) -> Column:
    """Floats that tell from which integer on they are not exact, as Python's own do for those of 64 bits."""
    if types.is_float64(type_):
        return values
    narrow = type_.to_pandas_dtype()
    return [None if value is None else narrow(value) for value in values]


def _values(array: Any) -> Column:
    """Python values. Data frames write a missing number as NaN."""
    if is_text(array.type):
        return texts(array)
    return [None if value != value else value for value in array.to_pylist()]
