"""Files of named Arrow columns of any types."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from functools import partial
from typing import Any, ClassVar

import pyarrow as pa

from thimble.export.clicks.arrow_types import is_list, misfit
from thimble.export.clicks.bag_columns import readable_column
from thimble.export.clicks.folders import FoundFile
from thimble.export.clicks.headers import column_index
from thimble.export.clicks.rows import ClickError
from thimble.export.clicks.tables import Columns, Piece, Table

_DAMAGE = (pa.ArrowException, OSError, UnicodeDecodeError, MemoryError)
"""What Arrow raises for a damaged file, whose names may be no text and whose sizes may be anything."""


class TypedFile(ABC):
    """A file of which the columns are read that are named. One that its folders' names give as well is read from it.

    `form` is what messages call its format.
    """

    named = True
    unit = "row"
    form: ClassVar[str]

    def __init__(self, file: FoundFile, columns: Columns) -> None:
        self.path, self.name, self.given, _ = file
        self.columns = columns

    def check(self) -> None:
        """ClickError: it is damaged, a column is not there, or none of its rows could be read."""
        try:
            self._check(self.schema())
        except ClickError as error:
            raise ClickError(f"{self.name}: {error}") from None
        except _DAMAGE as error:
            raise self._unreadable(error) from None

    def list_columns(self) -> list[str]:
        """The names of columns that hold lists."""
        try:
            return [field.name for field in self.schema() if is_list(field.type)]
        except _DAMAGE as error:
            raise self._unreadable(error) from None

    def count(self) -> int:
        try:
            return self.rows()
        except _DAMAGE as error:
            raise self._unreadable(error) from None

    def key_types(self) -> list[Any]:
        schema = self.schema()
        return [schema.field(name).type if name in schema.names else pa.string() for name in self.columns.keys]

    def pieces(self, start: int, stop: int) -> Iterator[Piece]:
        position = 0
        try:
            for block in self.batches({*self.columns.names}):
                if position + len(block) > start:
                    yield partial(self._part, position, block, start - position, stop - position)
                position += len(block)
                if position >= stop:
                    break
        except _DAMAGE as error:
            raise self._damaged(position, error) from None

    @abstractmethod
    def schema(self) -> Any:
        """The types of its columns. ArrowException or OSError: it is damaged."""

    @abstractmethod
    def rows(self) -> int:
        """How many there are."""

    @abstractmethod
    def batches(self, names: Collection[str]) -> Iterator[Any]:
        """Record batches of those of these columns that it has, of some thousand rows each at most."""

    def _check(self, schema: Any) -> None:
        there = [*schema.names, *(name for name in self.given if name not in schema.names)]
        for name in self.columns.names:
            column_index(there, name)
        for feature, options in self.columns.encoded:
            if feature.name not in schema.names:
                continue
            if reason := misfit(feature, schema.field(feature.name).type, options):
                raise ClickError(f"column {feature.name!r}: {reason}")

    def _unreadable(self, error: BaseException) -> ClickError:
        return ClickError(f"{self.name}: not readable as {self.form}: {_shown(error)}")

    def _damaged(self, rows: int, error: BaseException) -> ClickError:
        return ClickError(f"{self.name}: damaged after row {rows}: {_shown(error)}")

    def _part(self, position: int, block: Any, start: int, stop: int) -> Table:
        try:
            return self._table(position + 1, block).part(start, stop)
        except _DAMAGE as error:
            raise self._damaged(position, error) from None

    def _table(self, first: int, block: Any) -> Table:
        def column(name: str) -> Any:
            there = name in block.schema.names
            return block.column(name) if there else _repeated(self.given[name], len(block))

        encoded = [readable_column(it, column(it.name), options) for it, options in self.columns.encoded]
        return Table.whole(first, [*encoded, *map(column, self.columns.keys)], typed=True)


def _shown(error: BaseException) -> str:
    return str(error) or "it asks for more memory than there is"


def _repeated(value: str, rows: int) -> Any:
    """What a folder's name gives: text, or bytes where that is none."""
    try:
        return pa.repeat(pa.scalar(value, pa.string()), rows)
    except UnicodeEncodeError:
        return pa.repeat(pa.scalar(value.encode("utf-8", "surrogateescape"), pa.binary()), rows)
