"""What a click file is read as: a thousand rows at a time, as columns that keep the file's own form."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from thimble.export.clicks.value_options import ValueOptions
from thimble.models.conversions import Column, shown
from thimble.models.hashing import Floats
from thimble.models.inputs import Feature, ValueKind
from thimble.models.labels import clicked

TABLE_ROWS = 1024
"""Rows that are read at a time."""

EncodedLabels = tuple[Floats, dict[int, str]]
Encoded = tuple[npt.NDArray[Any], dict[int, str]]
"""A column as the model takes it, and what is wrong with its bad rows, whose values mean nothing."""


class Columns(NamedTuple):
    """What is read of a file, and in which order: the label, if one is named, the features, and keys as they stand.

    `options` are for the features alone.
    """

    label: str | None
    features: Sequence[Feature]
    keys: Sequence[str] = ()
    options: ValueOptions = ValueOptions()

    @property
    def encoded(self) -> list[tuple[Feature, ValueOptions]]:
        """The label and the features, and how each is read."""
        labels = [(Feature(self.label, "number"), ValueOptions())] if self.label else []
        return [*labels, *((feature, self.options) for feature in self.features)]

    @property
    def names(self) -> list[str]:
        return [*(feature.name for feature, _ in self.encoded), *self.keys]


class Table(Protocol):
    """Some rows of one file, its columns in the order of `Columns`."""

    @property
    def columns(self) -> Sequence[Any]:
        """Lists of text, or Arrow arrays, whichever the file's own form is."""

    @property
    def lines(self) -> Sequence[int]:
        """Where each row stands in its file, from 1."""

    @property
    def misfits(self) -> dict[int, str]:
        """What is wrong with rows that have another number of columns. Their values are blank."""

    def part(self, start: int, stop: int) -> "Table":
        """Rows start..stop."""

    def labels(self) -> EncodedLabels:
        """Column 0, float32."""

    def encode(self, column: int, kind: ValueKind) -> Encoded:
        """A column of numbers, float32, or of ids, int64."""

    def values(self, column: int) -> Column:
        """A column as Python values, None or a blank where one is missing."""


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

    def tables(self, start: int, stop: int) -> Iterator[Table]:
        """Rows start..stop."""


def encode_labels(values: Column) -> EncodedLabels:
    """Zeros and ones, as text or typed."""
    labels = [clicked(value) for value in values]
    wrong = {row: f"{shown(values[row])} is not 0 or 1" for row, label in enumerate(labels) if label is None}
    return np.array([label or 0 for label in labels], np.float32), wrong
