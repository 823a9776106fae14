"""CSV: a header line, and rows that are lines or that may span several."""

import csv
import re
from collections.abc import Iterator, Sequence
from functools import cache, partial
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from thimble.export.clicks.delimited import Split, split_lines, split_rows
from thimble.export.clicks.folders import FoundFile
from thimble.export.clicks.formats import Block
from thimble.export.clicks.headers import column_index
from thimble.export.clicks.lines import Lines, lines_of, unified
from thimble.export.clicks.rows import ClickError
from thimble.export.clicks.tables import Columns, Piece, Table
from thimble.export.clicks.text_file import LineFile, TextFile

_SPANNING_ROWS = 4096  # that are read at a time
_STRAY_QUOTE = "a quote is not closed or stands inside a value that is not quoted (--multiline allows both)"
_STRAY_RETURN = "a carriage return stands inside a value that is not quoted"


class _Layout(NamedTuple):
    """How many columns a header names, where those stand that are read, and what the file's folders give beyond it."""

    width: int
    wanted: list[int]
    given: list[str]

    def in_file(self) -> list[int]:
        return [place for place in self.wanted if place < self.width]

    def with_given(self, split: Split) -> Split:
        """With the columns that the folders give, of the rows that fit."""
        rows, read = len(split.fitting), iter(split.columns)
        columns = [
            next(read) if place < self.width else _repeated(self.given[place - self.width], rows)
            for place in self.wanted
        ]
        return split._replace(columns=columns)


class CsvFile(LineFile):
    """A header line and rows, of which the columns are read that are named.

    Empty lines are no rows. A line is a row, so that a stray quote spoils its own row and no other. A column that the
    file's folders' names give as well is read from the file.
    """

    named = True
    quoted = True
    empty_lines_are_rows = False

    def __init__(self, file: FoundFile, columns: Columns, separator: str) -> None:
        super().__init__(file, columns)
        self.separator = separator

    def check(self) -> None:
        next(self.bodies(), None)

    @property
    def width(self) -> int:
        return self._layout.width

    def bodies(self) -> Iterator[Block]:
        has_header = False
        for number, block in self.blocks():
            first, text = number, unified(block)
            if not has_header:
                stripped = text.lstrip(b"\n")
                if not stripped:
                    continue
                first += len(text) - len(stripped)
                line, _, text = stripped.partition(b"\n")
                for fault in self.faults(Lines.of(line)).values():
                    raise ClickError(f"{self.name}: line {first}: {fault}")
                (header,) = self._rows(line)
                self._layout = _layout(self, header)
                has_header = True
                first += 1
            if text:
                yield first, text
        if not has_header:
            raise ClickError(f"{self.name}: line 1: a header was expected")

    def faults(self, lines: Lines) -> dict[int, str]:
        limit = csv.field_size_limit()
        too_long = f"it is longer than {limit:,} characters"
        long = [line for line in np.flatnonzero(lines.lengths > limit).tolist() if len(_text(lines[line])) > limit]
        return self._broken(lines) | dict.fromkeys(long, too_long)

    def split(self, text: bytes) -> Split:
        layout = self._layout
        if b"\r" in text or layout.width == 1:  # Arrow would end a line there, and pass over an empty one
            rows = [[value.encode("utf-8", "surrogateescape") for value in row] for row in self._rows(text)]
            return layout.with_given(split_rows(rows, layout.width, layout.in_file()))
        quoted = b'"' in text
        return layout.with_given(split_lines(text, self.separator, layout.width, layout.in_file(), quoted=quoted))

    def _rows(self, text: bytes) -> Iterator[list[str]]:
        return csv.reader(map(_text, lines_of(text)), delimiter=self.separator)

    def _broken(self, lines: Lines) -> dict[int, str]:
        """What is wrong with lines that are no whole rows."""
        if b'"' not in lines.text and b"\r" not in lines.text:
            return {}
        tricky = lines.having((lines.letters == ord('"')) | (lines.letters == ord("\r")))
        some = lines.only(tricky)
        text, start, reasons = some.text, 0, dict[int, str]()
        while (rows := _rows_of(self.separator).match(text, start)) and (start := rows.end()) < len(text):
            end = text.index(b"\n", start)
            reasons[start] = _STRAY_QUOTE if b'"' in text[start:end] else _STRAY_RETURN
            start = end + 1
        broken = np.flatnonzero(tricky)[np.searchsorted(some.ends, [*reasons], "right")]
        return dict(zip(broken.tolist(), reasons.values(), strict=True))


class SpanningCsvFile(TextFile):
    """CSV whose quoted values may hold line ends. A quote inside a value that is not quoted is a character of it."""

    named = True
    ends = b"\n\r"  # csv finds out which it is

    def __init__(self, file: FoundFile, columns: Columns, separator: str) -> None:
        super().__init__(file, columns)
        self.separator = separator

    def check(self) -> None:
        next(self._rows(), None)

    def count(self) -> int:
        return sum(1 for _ in self._rows())

    def pieces(self, start: int, stop: int) -> Iterator[Piece]:
        rows = islice(self._rows(), start, stop)
        while some := list(islice(rows, _SPANNING_ROWS)):
            yield partial(self._table, some)

    def _table(self, rows: Sequence[tuple[int, list[str]]]) -> Table:
        lines, found = zip(*rows, strict=True)
        layout = self._layout
        values = [[value.encode("utf-8", "surrogateescape") for value in row] for row in found]
        split = layout.with_given(split_rows(values, layout.width, layout.in_file()))
        misfits = {row: f"{layout.width} columns expected, found {width}" for row, width in split.widths.items()}
        return Table(np.array(lines), self.encoded(split.columns), False, split.fitting, misfits)

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """Rows, and the numbers of the lines in which they end."""
        reader = csv.reader(self.lines(), delimiter=self.separator)
        rows = ((reader.line_num, row) for row in reader if row)
        try:
            _, header = next(rows, (0, None))
            if header is None:
                raise ClickError(f"{self.name}: line 1: a header was expected")
            self._layout = _layout(self, header)
            yield from rows
        except csv.Error as error:
            raise ClickError(f"{self.name}: not readable after line {reader.line_num}: {error}") from None


def _layout(file: TextFile, header: Sequence[str]) -> _Layout:
    """ClickError: it lacks a column."""
    given = {name: value for name, value in file.given.items() if name not in header}
    names = [*header, *given]
    try:
        wanted = [column_index(names, name) for name in file.columns.names]
    except ClickError as error:
        raise ClickError(f"{file.name}: {error}") from None
    return _Layout(len(header), wanted, list(given.values()))


def _repeated(value: str, rows: int) -> Any:
    return pa.repeat(pa.scalar(value.encode("utf-8", "surrogateescape"), pa.binary()), rows)


def _text(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape")


@cache
def _rows_of(separator: str) -> re.Pattern[bytes]:
    """Any number of whole rows of CSV."""
    value = rf'(?:"(?:[^"\n]++|"")*+"|[^"{separator}\r\n]*+)'
    return re.compile(rf"(?:{value}(?:{re.escape(separator)}{value})*+(?:\n|\Z))*+".encode())
