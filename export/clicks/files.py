"""Clicks from files of any form, streamed in constant memory."""

import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from thimble.export.clicks.arrow_ipc import ArrowFile
from thimble.export.clicks.bad_rows import BadRows
from thimble.export.clicks.batches import batches
from thimble.export.clicks.criteo_binary import CriteoBinaryFile
from thimble.export.clicks.folders import FoundFile, find
from thimble.export.clicks.formats import TypedForm, typed_form
from thimble.export.clicks.parquet import ParquetFile
from thimble.export.clicks.row_marks import Marks, holds_moments, row_marks
from thimble.export.clicks.rows import ClickError, Clicks
from thimble.export.clicks.tables import ClickFile, Columns, Table
from thimble.export.clicks.text import open_text_clicks
from thimble.export.clicks.typed_file import TypedFile
from thimble.export.clicks.value_options import ValueOptions, value_options
from thimble.export.wording import listed
from thimble.models.conversions import Column
from thimble.models.features import Batch
from thimble.models.hashing import Int64s
from thimble.models.spec import ModelSpec

_TYPED: dict[TypedForm, type[TypedFile]] = {"parquet": ParquetFile, "arrow": ArrowFile, "criteo": CriteoBinaryFile}

_LOOKED_AT = 100


class FileClicks:
    """Clicks of a model's schema from files, read in the order given.

    What a file is its first bytes tell: Parquet, Arrow and CSV have named columns, `label` among them; other text is
    Criteo lines: the label, then the dense features, then the fields, separated by tabs; so do the 32-bit integers of
    MLPerf stand. Text may be packed. With `multiline` a row of CSV may span several lines. `missing` are further words
    for a missing value; with `timestamps` these are read as numbers. `group` and `time` are columns that rows carry
    along (`row_marks`). ClickError: a file cannot be read so, or holds other columns.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        spec: ModelSpec,
        label: str = "label",
        strict: bool = False,
        multiline: bool = False,
        missing: Collection[str] = (),
        timestamps: bool = False,
        group: str | None = None,
        time: str | None = None,
    ) -> None:
        if label in spec.feature_names:
            raise ClickError(f"the label {label!r} is also a feature, so the model would be told what it is to guess")
        self.spec = spec
        self.label = label
        self.multiline = multiline
        self.options = value_options(missing, timestamps)
        self.group = group
        self.time = time
        self.bad = BadRows(strict)
        found, self.passed_over = find(paths)
        marks = [name for name in (group, time) if name is not None]
        self._files = open_click_files(found, Columns(label, spec.features, marks, self.options), multiline)
        self._counts: dict[Path, int] = {}

    @property
    def files(self) -> list[Path]:
        return [file.path for file in self._files]

    @property
    def description(self) -> str:
        return listed([file.name for file in self._files])

    @property
    def identity(self) -> str:
        """The files as they are, and how they are read."""
        read_as = [self.label]
        if self.multiline:
            read_as.append("multiline")
        if self.options != ValueOptions():
            read_as.append(f"missing {sorted(self.options.missing)}, timestamps {self.options.timestamps}")
        if self.group is not None or self.time is not None:
            read_as.append(f"group {self.group}, time {self.time}")
        for path in self.files:
            stat = path.stat()
            read_as.append(f"{path.resolve()}, {stat.st_size}, {stat.st_mtime_ns}")
        return "; ".join(read_as)

    def count(self) -> int:
        return sum(self.counts())

    def counts(self) -> tuple[int, ...]:
        """Rows of each file, bad ones included."""
        return tuple(map(self._count, self._files))

    def know_counts(self, counts: Sequence[int]) -> None:
        """What an earlier reading counted, so that no text has to be read for it."""
        self._counts |= zip(self.files, counts, strict=True)

    def has_moments(self) -> bool:
        """Whether the column of times holds moments rather than numbers, as the first rows show."""
        table = next(self._files[0].tables(0, _LOOKED_AT), None) if self.time is not None else None
        return table is not None and holds_moments(table.columns[-1])

    def read(self, start: int, stop: int, size: int) -> Iterator[Clicks]:
        return batches(self._blocks(start, stop), start, size)

    def blocks(self, start: int = 0) -> Iterator[Clicks]:
        """All rows from `start` on once, in order, in blocks of any size; all are counted afterwards.

        A block of bad rows alone has no rows.
        """
        place = 0
        for file in self._files:
            first = place
            place += min(start - place, self._count(file)) if place < start else 0
            for table in file.tables(place - first, sys.maxsize):
                yield self._encode(file, table, place)
                place += len(table)
            self._counts[file.path] = place - first

    def _count(self, file: ClickFile) -> int:
        """Rows of one file; text has to be read for it, once, to its end."""
        if file.path not in self._counts:
            self._counts[file.path] = file.count()
        return self._counts[file.path]

    def _blocks(self, start: int, stop: int) -> Iterator[tuple[int, Clicks]]:
        """Rows start..stop, and with each block the number of the row at which the next one begins."""
        position = 0
        for file in self._files:
            rows = self._count(file)
            first, last = max(0, start - position), min(rows, stop - position)
            place = position + first
            position += rows
            if first < last:
                for table in file.tables(first, last):
                    place += len(table)
                    yield place, self._encode(file, table, place - len(table))

    def _encode(self, file: ClickFile, table: Table, place: int) -> Clicks:
        """Rows to arrays, of which the first is row `place` of all files. Bad rows are left out and noted."""
        labels, wrong = table.labels()
        features = range(1, 1 + len(self.spec.features))
        batch, reasons = encode_features(self.spec, table, features)
        if len(self.bad.valued) <= len(self.spec.features):
            self.bad.valued.update(valued_features(self.spec, batch), [self.label] if len(wrong) < len(labels) else [])
        marks = self._marks(file, table)
        bad = self.bad.add_all(file, table, {self.label: wrong} | reasons | marks.reasons)
        good = np.flatnonzero(np.isin(table.fitting, bad, assume_unique=True, invert=True))
        raw = partial(_raw_columns, table, features, good)
        groups = None if marks.groups is None else marks.groups[good]
        times = None if marks.times is None else marks.times[good]
        places = place + table.fitting[good]
        if len(good) < len(labels):
            labels, batch = labels[good], Batch._make(array[good] for array in batch)
        return Clicks(labels, batch, raw, None, groups, times, places)

    def _marks(self, file: ClickFile, table: Table) -> Marks:
        columns = table.columns[1 + len(self.spec.features) :]
        try:
            return row_marks(columns, self.group, self.time, self.options)
        except ClickError as error:
            raise ClickError(f"{file.name}: {error}") from None


def encode_features(spec: ModelSpec, table: Table, columns: Sequence[int]) -> tuple[Batch, dict[str, dict[int, str]]]:
    """The fitting rows as the model takes them, and by feature what is wrong with rows, whose values mean nothing.

    `columns` says where the features stand, in the order of the spec.
    """
    places = dict(zip(spec.feature_names, columns, strict=True))
    reasons: dict[str, dict[int, str]] = {}
    batch = Batch.missing(spec.inputs, len(table.fitting))
    tensors: Sequence[npt.NDArray[Any]] = batch
    for tensor, array in zip(spec.inputs, tensors, strict=True):
        for place, feature in enumerate(tensor.features):
            array[:, place], reasons[feature.name] = table.encode(places[feature.name], feature.kind)
    return batch, reasons


def valued_features(spec: ModelSpec, batch: Batch) -> list[str]:
    """The features that are not missing in all rows."""
    names: list[str] = []
    tensors: Sequence[npt.NDArray[Any]] = batch
    for tensor, array in zip(spec.inputs, tensors, strict=True):
        missing = np.isnan(array) if np.isnan(tensor.missing) else array == tensor.missing
        names += [it.name for it, absent in zip(tensor.features, missing.all(axis=0), strict=True) if not absent]
    return names


def open_click_files(found: Sequence[FoundFile], columns: Columns, multiline: bool) -> list[ClickFile]:
    """Files that have been looked at. ClickError: one does not fit."""
    files: list[ClickFile] = []
    for file in found:
        try:
            files.append(_open(file, columns, multiline))
        except OSError as error:
            raise ClickError(f"{file.path}: {error.strerror}") from None
        files[-1].check()
    names = {file.named: file.name for file in files}
    if len(names) > 1:
        raise ClickError(f"{names[True]} has columns with names and {names[False]} has none; give one or the other")
    return files


def _open(file: FoundFile, columns: Columns, multiline: bool) -> ClickFile:
    form = typed_form(file.path)
    return _TYPED[form](file, columns) if form else open_text_clicks(file, columns, multiline)


def _raw_columns(table: Table, columns: Iterable[int], rows: Int64s) -> list[Column]:
    return [table.values(column, rows) for column in columns]
