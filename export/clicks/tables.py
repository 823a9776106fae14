"""What a click file is read as: some thousand rows at a time, as columns that keep the file's own types."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from thimble.export.clicks.bag_columns import encode_bags
from thimble.export.clicks.encoding import Encoded, EncodedLabels, encode, encode_labels, values_of
from thimble.export.clicks.value_options import ValueOptions
from thimble.models.conversions import Column
from thimble.models.hashing import Int64s
from thimble.models.inputs import Feature

TABLE_ROWS = 16_384
"""Rows that are read at a time where a format lets us choose."""


class Columns(NamedTuple):
    """What is read of a file, and in which order: the label, if one is named, the features, and keys as they stand.

    The labels of further answers come between features and keys; only files of named columns have them. `options` are
    for the features; of keys, what is made of them knows its own way.
    """

    label: str | None
    features: Sequence[Feature]
    keys: Sequence[str] = ()
    options: ValueOptions = ValueOptions()
    more_labels: Sequence[str] = ()

    @property
    def encoded(self) -> list[tuple[Feature, ValueOptions]]:
        """The label, the features and further labels, and how each is read."""
        labels = [(Feature(self.label, "number"), ValueOptions())] if self.label else []
        more = [(Feature(name, "number"), ValueOptions()) for name in self.more_labels]
        return [*labels, *((feature, self.options) for feature in self.features), *more]

    @property
    def names(self) -> list[str]:
        return [*(feature.name for feature, _ in self.encoded), *self.keys]


@dataclass(frozen=True)
class Table:
    """Some rows of one file as Arrow arrays, in the order of `Columns`.

    `lines` is where each row stands in its file, from 1. Rows of another number of columns are left out of the columns:
    `misfits` says by row what is wrong with them, and `fitting` which rows are there. Text is `typed` where the file
    has other types as well.
    """

    lines: Int64s
    columns: Sequence[Any]
    typed: bool
    fitting: Int64s
    misfits: dict[int, str] = field(default_factory=dict)

    @staticmethod
    def whole(first: int, columns: Sequence[Any], *, typed: bool) -> "Table":
        """Rows of which all have these columns and the lines from `first` on."""
        rows = len(columns[0])
        return Table(np.arange(first, first + rows), columns, typed, np.arange(rows))

    def __len__(self) -> int:
        return len(self.lines)

    def part(self, start: int, stop: int) -> "Table":
        """Rows start..stop."""
        if start <= 0 and stop >= len(self):
            return self
        start = max(0, start)
        first, last = np.searchsorted(self.fitting, (start, stop)).tolist()
        misfits = {row - start: reason for row, reason in self.misfits.items() if start <= row < stop}
        columns = [column[first:last] for column in self.columns]
        return Table(self.lines[start:stop], columns, self.typed, self.fitting[first:last] - start, misfits)

    def labels(self, column: int = 0) -> EncodedLabels:
        """A column, float32, of the fitting rows."""
        return encode_labels(self.columns[column])

    def encode(self, column: int, feature: Feature) -> Encoded:
        """A column of numbers, float32, or of ids, int64, or those of bags, [rows, values], of the fitting rows."""
        if feature.kind == "number" or feature.bag is None:
            return encode(self.columns[column], feature.kind, typed=self.typed)
        return encode_bags(self.columns[column], feature.kind, feature.bag, typed=self.typed)

    def values(self, column: int, rows: Int64s) -> Column:
        """Python values of some of the fitting rows, None or a blank where one is missing; of bags lists."""
        return values_of(self.columns[column].take(pa.array(rows)))


Piece = Callable[[], Table]
"""Some rows that have been found in a file. Calling it reads them, which any thread may do."""


class ClickFile(Protocol):
    """One file of clicks. Its methods raise ClickError where it cannot be read."""

    path: Path
    name: str
    """What messages call it."""
    named: bool
    """Whether its columns have names. They stand in the order of the spec where they have none."""
    unit: str
    """What is counted to say where a row stands: line or row."""

    def check(self) -> None:
        """Whether it holds what is wanted of it, by its first bytes."""

    def key_types(self) -> list[Any]:
        """The Arrow types of the keys, of text where it has no types."""

    def count(self) -> int:
        """Rows there are, bad ones included."""

    def pieces(self, start: int, stop: int) -> Iterator[Piece]:
        """Rows start..stop."""


FilePiece = tuple[ClickFile, Piece]
