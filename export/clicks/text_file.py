"""What all files of text have in common: blocks of lines, and tables of those whose lines are rows."""

import csv
import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from thimble.export.clicks.bag_columns import readable_column
from thimble.export.clicks.delimited import Split
from thimble.export.clicks.folders import FoundFile
from thimble.export.clicks.formats import DAMAGE, Block, open_blocks
from thimble.export.clicks.rows import ClickError
from thimble.export.clicks.tables import Columns, Piece, Table
from thimble.models.hashing import Int64s

_NOT_ASCII = bytes(range(128, 256))


class TextFile:
    """A file of text. `ends` are the bytes that end its lines."""

    unit = "line"
    ends: ClassVar[bytes] = b"\n"

    def __init__(self, file: FoundFile, columns: Columns) -> None:
        self.path, self.name, self.given, _ = file
        self.columns = columns

    def key_types(self) -> list[Any]:
        return [pa.string()] * len(self.columns.keys)

    def lines(self) -> Iterator[str]:
        """Lines with their ends. Bytes that are no UTF-8 become surrogates, which no feature accepts."""
        for _, block in self.blocks():
            yield from io.StringIO(block.decode("utf-8", "surrogateescape"), "" if b"\r" in self.ends else "\n")

    def blocks(self) -> Iterator[Block]:
        """ClickError: it cannot be read, or is damaged."""
        first, block = 1, b""
        try:
            with open_blocks(self.path, self.ends) as blocks:
                for first, block in blocks:
                    yield first, block
        except ClickError as error:
            raise ClickError(f"{self.name}: {error}") from None
        except (OSError, *DAMAGE) as error:
            if isinstance(error, OSError) and error.strerror is not None:  # of the system, not of what unpacks it
                raise ClickError(f"{self.path}: {error.strerror}") from None
            line = first - 1 + block.count(b"\n")
            raise ClickError(f"{self.name}: damaged after line {line}: {error}") from None

    def encoded(self, found: Sequence[Any]) -> list[Any]:
        """The label, features and keys of some rows, as they are read."""
        kinds = self.columns.encoded
        read = [readable_column(it, array, options) for (it, options), array in zip(kinds, found, strict=False)]
        return [*read, *found[len(kinds) :]]


class LineFile(TextFile, ABC):
    """A file whose rows are lines, of which those are looked at one by one that Arrow would misread, or might."""

    empty_lines_are_rows: ClassVar[bool]
    tricky: ClassVar[bytes]
    """Bytes without which a line has no fault, if it is neither empty nor very long and is UTF-8."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Columns that a line has."""

    def count(self) -> int:
        """By reading to the end; a truncated .gz shows here."""
        return sum(self.row_count(line_lengths(text)) for _, text in self.bodies())

    def pieces(self, start: int, stop: int) -> Iterator[Piece]:
        position = 0
        for first, text in self.bodies():
            lengths = line_lengths(text)
            rows = self.row_count(lengths)
            if position + rows > start:
                yield partial(self._part, first, text, lengths, start - position, stop - position)
            position += rows
            if position >= stop:
                break

    @abstractmethod
    def bodies(self) -> Iterator[Block]:
        """The blocks without what is before the rows, as `unified` makes them. None is empty."""

    @abstractmethod
    def is_plain(self, text: bytes, lengths: Int64s) -> bool:
        """Whether no line that is UTF-8 has a fault, if none is empty. `lengths` are theirs."""

    @abstractmethod
    def fault(self, line: bytes) -> str | None:
        """What keeps a line from being split. One that is not UTF-8 has to have the right number of columns."""

    @abstractmethod
    def split(self, text: bytes) -> Split:
        """Lines without faults, if any, as columns."""

    def misfit(self, found: int) -> str:
        """What is wrong with rows of another number of columns."""
        return f"{self.width} columns expected, found {found}"

    def row_count(self, lengths: Int64s) -> int:
        return int(np.count_nonzero(self._are_rows(lengths)))

    def _part(self, first: int, text: bytes, lengths: Int64s, start: int, stop: int) -> Table:
        return self._table(first, text, lengths).part(start, stop)

    def _table(self, first: int, text: bytes, lengths: Int64s) -> Table:
        utf8, plain = is_utf8(text), bool(lengths.all()) and self.is_plain(text, lengths)
        if utf8 and plain:
            split = self.split(text)
            rows = len(split.fitting) + len(split.widths)
            misfits = {row: self.misfit(width) for row, width in split.widths.items()}
            return Table(np.arange(first, first + rows), self.encoded(split.columns), False, split.fitting, misfits)
        text = text if text.endswith(b"\n") else text + b"\n"
        ends = np.cumsum(lengths + 1)
        suspects = (lengths == 0) | (lengths > csv.field_size_limit())
        tricky = (b"" if plain else self.tricky) + (b"" if utf8 else _NOT_ASCII)
        suspects[_lines_with(text, ends, tricky)] = True
        faults: dict[int, str] = {}
        for line in np.flatnonzero(suspects & self._are_rows(lengths)).tolist():
            end = int(ends[line])
            if (fault := self.fault(text[end - 1 - int(lengths[line]) : end - 1])) is not None:
                faults[line] = fault
        sound = self._are_rows(lengths)
        sound[list(faults)] = False
        split = self.split(_lines_of(text, ends, sound))
        lines = np.flatnonzero(self._are_rows(lengths))
        rows_of = np.searchsorted(lines, np.flatnonzero(sound))
        misfits = dict(zip(np.searchsorted(lines, [*faults]).tolist(), faults.values(), strict=True))
        misfits |= {int(rows_of[row]): self.misfit(width) for row, width in split.widths.items()}
        return Table(first + lines, self.encoded(split.columns), False, rows_of[split.fitting], misfits)

    def _are_rows(self, lengths: Int64s) -> npt.NDArray[np.bool_]:
        return lengths >= (0 if self.empty_lines_are_rows else 1)


def _lines_with(text: bytes, ends: Int64s, letters: bytes) -> Int64s:
    """The lines, which end before `ends`, that have one of some bytes, once for each of these."""
    found = text.translate(bytes(byte in letters for byte in range(256)))
    return np.searchsorted(ends, np.flatnonzero(np.frombuffer(found, np.bool_)), "right")


def _lines_of(text: bytes, ends: Int64s, wanted: npt.NDArray[np.bool_]) -> bytes:
    """Some of the lines, which end before `ends`. Those that follow each other are copied together."""
    bounds = np.append(0, ends)[np.flatnonzero(np.diff(wanted, prepend=False, append=False))].tolist()
    return b"".join(text[start:end] for start, end in zip(bounds[::2], bounds[1::2], strict=True))


def unified(text: bytes) -> bytes:
    """With line ends of line feeds alone. The last line of a file may have none."""
    if b"\r" not in text:
        return text
    text = text.replace(b"\r\n", b"\n")
    return text.removesuffix(b"\r") + b"\n" if text.endswith(b"\r") else text


def lines_of(text: bytes) -> list[bytes]:
    """Without their ends."""
    return text.removesuffix(b"\n").split(b"\n") if text else []


def is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def line_lengths(text: bytes) -> Int64s:
    """How many bytes each line has, its end not counted."""
    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n"))
    if not text.endswith(b"\n"):
        ends = np.append(ends, len(text))
    return np.diff(ends, prepend=-1) - 1
