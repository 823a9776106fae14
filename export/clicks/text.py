"""Criteo lines and CSV, plain or packed."""

import csv
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from operator import itemgetter
from typing import Any

import pyarrow as pa

from thimble.export.clicks.folders import FoundFile
from thimble.export.clicks.formats import DAMAGE, open_text
from thimble.export.clicks.headers import column_index, delimiter
from thimble.export.clicks.rows import ClickError
from thimble.export.clicks.tables import TABLE_ROWS, Columns, Encoded, EncodedLabels, Table, encode_labels
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
    named: bool
    unit = "line"

    def __init__(self, file: FoundFile, columns: Columns, newline: str) -> None:
        """`newline` ends a line, as `open` takes it: a line feed alone leaves a carriage return in a value there."""
        self.path, self.name, self.given = file
        self.columns = columns
        self.newline = newline

    def check(self) -> None:
        next(self.rows(), None)

    def key_types(self) -> list[Any]:
        return [pa.string()] * len(self.columns.keys)

    def count(self) -> int:
        """By reading to the end; a truncated .gz shows here."""
        return sum(1 for _ in self.rows())

    def tables(self, start: int, stop: int) -> Iterator[Table]:
        rows = islice(self.rows(), start, stop)
        while some := list(islice(rows, TABLE_ROWS)):
            lines, found = zip(*some, strict=True)
            columns, misfits = self._columns(found)
            for place, (feature, options) in enumerate(self.columns.encoded):
                columns[place] = options.text(feature.kind, columns[place])
            yield TextTable(lines, columns, misfits)

    def rows(self) -> Iterator[tuple[int, Any]]:
        """Rows and the numbers of their lines."""
        line = 0
        try:
            with open_text(self.path, self.newline) as file:
                for line, row in self._read(file):
                    yield line, row
        except ClickError as error:
            raise ClickError(f"{self.name}: {error}") from None
        except DAMAGE as error:
            raise ClickError(f"{self.name}: damaged after line {line}: {error}") from None
        except csv.Error as error:
            raise ClickError(f"{self.name}: not readable after line {line}: {error}") from None
        except OSError as error:
            if error.strerror is None:  # of what unpacks it, not of the system
                raise ClickError(f"{self.name}: damaged after line {line}: {error}") from None
            raise ClickError(f"{self.path}: {error.strerror}") from None

    @abstractmethod
    def _read(self, file: Iterator[str]) -> Iterator[tuple[int, Any]]: ...

    @abstractmethod
    def _columns(self, rows: Sequence[Any]) -> tuple[list[Sequence[str]], dict[int, str]]:
        """The columns that are named, and what is wrong with rows that have another number of columns."""


class CriteoFile(_TextFile):
    """Lines of a label and the values of the features, separated by tabs.

    If the label is not to be read, a file may lack it: most of its first lines say whether it does.
    """

    named = False

    def __init__(self, file: FoundFile, columns: Columns, newline: str = "\n") -> None:
        super().__init__(file, columns, newline)
        features = [feature.name for feature in columns.features]
        self.layout = [columns.label or ("" if "label" in features else "label"), *features]

    def check(self) -> None:
        for name in self.columns.keys:
            if name not in self.layout:
                raise ClickError(f"{self.name}: no column {name!r} in lines of Criteo's form")
        full = len(self.layout)
        widths = [_width(line) for _, line in islice(self.rows(), TABLE_ROWS)]
        if widths.count(full - 1) > widths.count(full):
            if self.layout[0] in self.columns.names:
                raise ClickError(f"{self.name}: lines of {full - 1} columns, {full} expected: they have no label")
            self.layout = self.layout[1:]

    def is_header(self, line: str) -> bool:
        """Whether it names columns: no value is blank, and its label and all of its numbers are words."""
        values = line.rstrip("\r\n").split("\t")
        lacking = len(self.layout) - len(values)
        if lacking not in (0, 1) or not all(map(str.strip, values)):  # the label may be lacking
            return False
        cells = dict(zip(self.layout[lacking:], values, strict=True))
        tokens: list[str] = []
        for feature, options in self.columns.encoded:
            if feature.kind in ("number", "int") and feature.name in cells:
                tokens += options.text(feature.kind, [cells[feature.name]])
        if not lacking and not self.columns.label:
            tokens.append(values[0])
        _, words = encode_column("number", tokens, typed=False)
        return len(words) == len(tokens)

    def _read(self, file: Iterator[str]) -> Iterator[tuple[int, str]]:
        return enumerate(file, 1)

    def _columns(self, rows: Sequence[str]) -> tuple[list[Sequence[str]], dict[int, str]]:
        width = len(self.layout)
        rows = [row.removesuffix("\n").removesuffix("\r") for row in rows]
        misfits = {}
        for i, row in enumerate(rows):
            found = _width(row)
            if found != width:
                misfits[i] = f"{width} columns expected, found {found}"
                rows[i] = "\t" * (width - 1)
        values = "\t".join(rows).split("\t")  # one split is faster than one a row
        return [values[self.layout.index(name) :: width] for name in self.columns.names], misfits


def _width(line: str) -> int:
    return line.count("\t") + 1


class CsvFile(_TextFile):
    """A header line and rows, of which the columns are read that are named.

    Empty lines are no rows. A line is a row, so that a stray quote spoils its own row and no other. With `multiline` a
    quoted value may hold line ends, and a quote inside a value that is not quoted is one of its characters. A column
    that the file's folders' names give as well is read from the file.
    """

    named = True

    def __init__(self, file: FoundFile, columns: Columns, separator: str, multiline: bool) -> None:
        super().__init__(file, columns, _newline(multiline))
        self.separator = separator
        self.multiline = multiline

    def _read(self, file: Iterator[str]) -> Iterator[tuple[int, Sequence[str]]]:
        """Rows, or what is wrong with one."""
        rows = self._spanning(file) if self.multiline else self._lines(file)
        line, header = next(((line, row) for line, row in rows if row), (1, "a header was expected"))
        if isinstance(header, str):
            raise ClickError(f"line {line}: {header}")
        given = {name: value for name, value in self.given.items() if name not in header}
        names, values = [*header, *given], list(given.values())
        pick = itemgetter(*(column_index(names, name) for name in self.columns.names))
        for line, row in rows:
            if isinstance(row, str):
                yield line, row
            elif len(row) == len(header):
                yield line, pick(row + values if values else row)
            elif row:
                yield line, f"{len(header)} columns expected, found {len(row)}"

    def _spanning(self, file: Iterator[str]) -> Iterator[tuple[int, list[str] | str]]:
        reader = csv.reader(file, delimiter=self.separator)
        return ((reader.line_num, row) for row in reader)

    def _lines(self, file: Iterator[str]) -> Iterator[tuple[int, list[str] | str]]:
        first = 1
        while lines := list(islice(file, TABLE_ROWS)):
            if _whole(lines, self.separator):
                yield from enumerate(csv.reader(lines, delimiter=self.separator), first)
            else:
                for number, line in enumerate(lines, first):
                    whole = _whole([line], self.separator)
                    yield number, next(csv.reader([line], delimiter=self.separator)) if whole else _fault(line)
            first += len(lines)

    def _columns(self, rows: Sequence[Sequence[str]]) -> tuple[list[Sequence[str]], dict[int, str]]:
        misfits = {i: row for i, row in enumerate(rows) if isinstance(row, str)}
        blank = [""] * len(self.columns.names)
        good = (blank if i in misfits else row for i, row in enumerate(rows))
        return list(zip(*good, strict=True)), misfits


def open_text_clicks(file: FoundFile, columns: Columns, multiline: bool) -> CsvFile | CriteoFile:
    """CSV if the file is called so or its first line is a header, Criteo lines if not. ClickError: it is empty.

    Names of other columns make a header too, so that no column is taken for another because of where it stands.
    """
    start = CriteoFile(file, columns, _newline(multiline))
    first = next((line for _, line in start.rows() if line.strip()), None)
    if first is None:
        raise ClickError(f"{file.name}: empty")
    names = {*columns.names} - file.given.keys()
    separator = delimiter(first, names, certain=".csv" in file.path.name.lower())
    if not separator and start.is_header(first):
        separator = "\t"
    return CsvFile(file, columns, separator, multiline) if separator else CriteoFile(file, columns)


def _newline(multiline: bool) -> str:
    """csv finds the line ends by itself."""
    return "" if multiline else "\n"


@cache
def _rows_of(separator: str) -> re.Pattern[str]:
    """Any number of whole rows of CSV."""
    value = rf'(?:"(?:[^"\n]++|"")*+"|[^"{separator}\r\n]*+)'
    return re.compile(rf"(?:{value}(?:{re.escape(separator)}{value})*+\r?(?:\n|\Z))*+")


def _whole(lines: Sequence[str], separator: str) -> bool:
    """Whether each line is a whole row of CSV."""
    if max(map(len, lines)) > csv.field_size_limit():
        return False
    text = "".join(lines)
    return ('"' not in text and "\r" not in text) or bool(_rows_of(separator).fullmatch(text))


def _fault(line: str) -> str:
    """Why a line is no whole row of CSV."""
    if len(line) > csv.field_size_limit():
        return f"it is longer than {csv.field_size_limit():,} characters"
    if '"' in line:
        return "a quote is not closed or stands inside a value that is not quoted (--multiline allows both)"
    return "a carriage return stands inside a value that is not quoted"
