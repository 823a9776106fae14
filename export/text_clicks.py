"""Criteo lines and CSV, plain or packed by gzip."""

import csv
import gzip
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import IO, Any, cast

from thimble.export.click_tables import TABLE_ROWS, Encoded, EncodedLabels, Table, column_index, encode_labels
from thimble.export.clicks import ClickError
from thimble.models.conversions import Column
from thimble.models.features import encode_column
from thimble.models.inputs import ValueKind


@dataclass(frozen=True)
class TextTable:
    """Rows of text."""

    lines: Sequence[int]
    columns: Sequence[Sequence[str]]
    misfits: dict[int, str]

    def part(self, start: int, stop: int) -> "TextTable":
        columns = [column[start:stop] for column in self.columns]
        misfits = {row - start: reason for row, reason in self.misfits.items() if start <= row < stop}
        return TextTable(self.lines[start:stop], columns, misfits)

    def labels(self) -> EncodedLabels:
        return encode_labels(self.columns[0])

    def encode(self, column: int, kind: ValueKind) -> Encoded:
        return encode_column(kind, self.columns[column], typed=False)

    def values(self, column: int) -> Column:
        return self.columns[column]


class _TextFile(ABC):
    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self.path = path
        self.names = names

    def count(self) -> int:
        """By reading to the end; a truncated .gz shows here."""
        return sum(1 for _ in self._rows())

    def tables(self, start: int, stop: int) -> Iterator[Table]:
        rows = islice(self._rows(), start, stop)
        while some := list(islice(rows, TABLE_ROWS)):
            lines, found = zip(*some, strict=True)
            yield self._table(lines, found)

    def _rows(self) -> Iterator[tuple[int, Any]]:
        """Rows and the numbers of their lines."""
        line = 0
        try:
            with _open(self.path) as file:
                for line, row in self._read(file):
                    yield line, row
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ClickError(f"{self.path.name}: damaged after line {line}: {error}") from None
        except csv.Error as error:
            raise ClickError(f"{self.path.name}: not readable after line {line}: {error}") from None
        except OSError as error:
            raise ClickError(f"{self.path}: {error.strerror}") from None

    @abstractmethod
    def _read(self, file: IO[str]) -> Iterator[tuple[int, Any]]: ...

    @abstractmethod
    def _table(self, lines: Sequence[int], rows: Sequence[Any]) -> TextTable: ...


class CriteoFile(_TextFile):
    """Lines of values in the order of `names`, separated by tabs."""

    def _read(self, file: IO[str]) -> Iterator[tuple[int, str]]:
        return enumerate(file, 1)

    def _table(self, lines: Sequence[int], rows: Sequence[str]) -> TextTable:
        width = len(self.names)
        rows = [row.rstrip("\r\n") for row in rows]
        misfits = {}
        for i, row in enumerate(rows):
            found = row.count("\t") + 1
            if found != width:
                misfits[i] = f"{width} columns expected, found {found}"
                rows[i] = "\t" * (width - 1)
        values = "\t".join(rows).split("\t")  # one split is faster than one a row
        return TextTable(lines, [values[i::width] for i in range(width)], misfits)


class CsvFile(_TextFile):
    """A header line and rows, of which the columns `names` are read. Empty lines are no rows."""

    def _read(self, file: IO[str]) -> Iterator[tuple[int, Sequence[str] | None]]:
        reader = csv.reader(file)
        header = next(reader, None)
        if header is None:
            raise ClickError(f"{self.path.name}: empty, a header line was expected")
        pick = itemgetter(*(column_index(self.path.name, header, name) for name in self.names))
        for row in reader:
            if row:
                yield reader.line_num, pick(row) if len(row) == len(header) else None

    def _table(self, lines: Sequence[int], rows: Sequence[Sequence[str] | None]) -> TextTable:
        width = len(self.names)
        reason = f"{width} columns expected, found another number"
        misfits = {i: reason for i, row in enumerate(rows) if row is None}
        return TextTable(lines, list(zip(*(row or [""] * width for row in rows), strict=True)), misfits)


def _open(path: Path) -> IO[str]:
    """Undecodable bytes become surrogates, which no feature accepts: the line is reported, not the whole file.

    Excel starts its UTF-8 with a byte order mark, which would stick to the first column's name.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    return cast(IO[str], opener(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline=""))
