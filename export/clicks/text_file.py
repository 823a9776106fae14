"""What all files of text have in common: blocks of lines, and tables of those whose lines are rows."""

import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from thimble.export.clicks.bag_columns import readable_column
from thimble.export.clicks.delimited import Split
from thimble.export.clicks.folders import FoundFile
from thimble.export.clicks.formats import DAMAGE, Block, open_blocks
from thimble.export.clicks.lines import Lines
from thimble.export.clicks.rows import ClickError
from thimble.export.clicks.tables import Columns, Piece, Table
from thimble.export.clicks.text_values import Mask


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
    """A file whose rows are lines, of which those are kept from Arrow that it would misread, or fail at."""

    separator: str
    quoted: ClassVar[bool]
    """Whether values may be."""
    empty_lines_are_rows: ClassVar[bool]

    @property
    @abstractmethod
    def width(self) -> int:
        """Columns that a line has."""

    def count(self) -> int:
        """By reading to the end; a truncated .gz shows here."""
        return sum(self._row_count(Lines.of(text)) for _, text in self.bodies())

    def pieces(self, start: int, stop: int) -> Iterator[Piece]:
        position = 0
        for first, text in self.bodies():
            lines = Lines.of(text)
            rows = self._row_count(lines)
            if position + rows > start:
                yield partial(self._part, first, lines, start - position, stop - position)
            position += rows
            if position >= stop:
                break

    @abstractmethod
    def bodies(self) -> Iterator[Block]:
        """The blocks without what is before the rows, as `unified` makes them. None is empty."""

    @abstractmethod
    def faults(self, lines: Lines) -> dict[int, str]:
        """What keeps lines that are rows from being split, UTF-8 or not."""

    @abstractmethod
    def split(self, text: bytes) -> Split:
        """Lines without faults, if any, as columns. Those that are not UTF-8 have the right number of them."""

    def misfit(self, found: int) -> str:
        """What is wrong with rows of another number of columns."""
        return f"{self.width} columns expected, found {found}"

    def _row_count(self, lines: Lines) -> int:
        return int(np.count_nonzero(self._are_rows(lines)))

    def _part(self, first: int, lines: Lines, start: int, stop: int) -> Table:
        return self._table(first, lines).part(start, stop)

    def _table(self, first: int, lines: Lines) -> Table:
        are_rows = self._are_rows(lines)
        places = np.cumsum(are_rows) - 1  # of lines among the rows
        faults, sound = self.faults(lines), are_rows.copy()
        sound[list(faults)] = False
        if not _is_utf8(lines.text):
            widths = self._odd_widths(lines, sound)
            faults |= {line: self.misfit(width) for line, width in widths.items()}
            sound[list(widths)] = False
        split = self.split(lines.only(sound).text)
        rows = places[sound]
        misfits = {int(places[line]): fault for line, fault in faults.items()}
        misfits |= {int(rows[row]): self.misfit(width) for row, width in split.widths.items()}
        return Table(first + np.flatnonzero(are_rows), self.encoded(split.columns), False, rows[split.fitting], misfits)

    def _are_rows(self, lines: Lines) -> Mask:
        return lines.lengths >= (0 if self.empty_lines_are_rows else 1)

    def _odd_widths(self, lines: Lines, sound: Mask) -> dict[int, int]:
        """How many columns those sound lines have that are not ASCII and have another number of them than is right."""
        foreign = sound & lines.having(lines.letters >= 128)
        widths = lines.only(foreign).columns(self.separator, quoted=self.quoted)
        odd = widths != self.width
        return dict(zip(np.flatnonzero(foreign)[odd].tolist(), widths[odd].tolist(), strict=True))


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
