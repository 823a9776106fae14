"""Criteo lines and CSV, plain or packed by gzip."""

import csv
import gzip
import re
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

_VALUE = r'(?:"(?:[^"\n]++|"")*+"|[^",\r\n]*+)'
_CSV_LINES = re.compile(rf"(?:{_VALUE}(?:,{_VALUE})*+\r?(?:\n|\Z))*+")


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
        return encode_labels(self.columns[0], typed=False)

    def encode(self, column: int, kind: ValueKind) -> Encoded:
        return encode_column(kind, self.columns[column], typed=False)

    def values(self, column: int) -> Column:
        return self.columns[column]


class _TextFile(ABC):
    newline = "\n"
    """What ends a line, as `open` takes it: a line feed alone, so that a carriage return in a value stays there."""

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
            with _open(self.path, self.newline) as file:
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
        rows = [row.removesuffix("\n").removesuffix("\r") for row in rows]
        misfits = {}
        for i, row in enumerate(rows):
            found = row.count("\t") + 1
            if found != width:
                misfits[i] = f"{width} columns expected, found {found}"
                rows[i] = "\t" * (width - 1)
        values = "\t".join(rows).split("\t")  # one split is faster than one a row
        return TextTable(lines, [values[i::width] for i in range(width)], misfits)


class CsvFile(_TextFile):
    """A header line and rows, of which the columns `names` are read. Empty lines are no rows.

    A line is a row, so that a stray quote spoils its own row and no other. With `multiline` a quoted value may hold
    line ends, and a quote inside a value that is not quoted is one of its characters.
    """

    def __init__(self, path: Path, names: Sequence[str], multiline: bool) -> None:
        super().__init__(path, names)
        self.multiline = multiline
        self.newline = "" if multiline else "\n"  # csv finds the line ends by itself

    def _read(self, file: IO[str]) -> Iterator[tuple[int, Sequence[str]]]:
        """Rows, or what is wrong with one."""
        rows = self._spanning(file) if self.multiline else self._lines(file)
        _, header = next(rows, (0, None))
        if header is None:
            raise ClickError(f"{self.path.name}: empty, a header line was expected")
        if isinstance(header, str):
            raise ClickError(f"{self.path.name} line 1: {header}")
        pick = itemgetter(*(column_index(self.path.name, header, name) for name in self.names))
        misfit = f"{len(self.names)} columns expected, found another number"
        for line, row in rows:
            if isinstance(row, str):
                yield line, row
            elif row:
                yield line, pick(row) if len(row) == len(header) else misfit

    def _spanning(self, file: IO[str]) -> Iterator[tuple[int, list[str] | str]]:
        reader = csv.reader(file)
        return ((reader.line_num, row) for row in reader)

    def _lines(self, file: IO[str]) -> Iterator[tuple[int, list[str] | str]]:
        first = 1
        while lines := list(islice(file, TABLE_ROWS)):
            if _whole(lines):
                yield from enumerate(csv.reader(lines), first)
            else:
                for number, line in enumerate(lines, first):
                    yield number, next(csv.reader([line])) if _whole([line]) else _fault(line)
            first += len(lines)

    def _table(self, lines: Sequence[int], rows: Sequence[Sequence[str]]) -> TextTable:
        misfits = {i: row for i, row in enumerate(rows) if isinstance(row, str)}
        blank = [""] * len(self.names)
        good = (blank if i in misfits else row for i, row in enumerate(rows))
        return TextTable(lines, list(zip(*good, strict=True)), misfits)


def _whole(lines: Sequence[str]) -> bool:
    """Whether each line is a whole row of CSV."""
    if max(map(len, lines)) > csv.field_size_limit():
        return False
    text = "".join(lines)
    return ('"' not in text and "\r" not in text) or bool(_CSV_LINES.fullmatch(text))


def _fault(line: str) -> str:
    """Why a line is no whole row of CSV."""
    if len(line) > csv.field_size_limit():
        return f"it is longer than {csv.field_size_limit():,} characters"
    if '"' in line:
        return "a quote is not closed or stands inside a value that is not quoted (--multiline allows both)"
    return "a carriage return stands inside a value that is not quoted"


def _open(path: Path, newline: str) -> IO[str]:
    """Undecodable bytes become surrogates, which no feature accepts: the line is reported, not the whole file.

    Excel starts its UTF-8 with a byte order mark, which would stick to the first column's name.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    return cast(IO[str], opener(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline=newline))
