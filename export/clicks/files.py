"""Clicks from files of any form, streamed in constant memory."""

import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from thimble.export.clicks.arrow_ipc import ArrowFile
from thimble.export.clicks.bad_rows import BadRows
from thimble.export.clicks.bag_use import LOOKED_AT, BagUse
from thimble.export.clicks.batches import batches
from thimble.export.clicks.criteo_binary import CriteoBinaryFile
from thimble.export.clicks.folders import FoundFile, find
from thimble.export.clicks.formats import TypedForm, typed_form
from thimble.export.clicks.numpy_files import NumpyClicks
from thimble.export.clicks.parquet import ParquetFile
from thimble.export.clicks.prefetch import mapped_ahead, prefetched
from thimble.export.clicks.row_marks import Marks, holds_moments, row_marks
from thimble.export.clicks.rows import ClickError, Clicks
from thimble.export.clicks.several_labels import checked_columns, read_labels
from thimble.export.clicks.tables import ClickFile, Columns, FilePiece, Table
from thimble.export.clicks.text import open_text_clicks
from thimble.export.clicks.typed_file import TypedFile
from thimble.export.clicks.value_options import ValueOptions, value_options
from thimble.export.wording import listed
from thimble.models.conversions import Column, shown
from thimble.models.faults import Faults
from thimble.models.features import Batch
from thimble.models.hashing import Floats, Int64s
from thimble.models.labels import LabelColumns
from thimble.models.spec import ModelSpec

_TYPED: dict[TypedForm, type[TypedFile]] = {"parquet": ParquetFile, "arrow": ArrowFile, "criteo": CriteoBinaryFile}

_LOOKED_AT = 100


class _Encoded(NamedTuple):
    """The fitting rows of a table as the model takes them, and what is wrong with the bad ones among them."""

    file: ClickFile
    table: Table
    labels: Floats
    batch: Batch
    marks: Marks
    faults: dict[str, Faults]


class FileClicks:
    """Clicks of a model's schema from files, read in the order given.

    What a file is its first bytes tell: Parquet, Arrow and CSV have named columns, `label` among them, or one for each
    answer of the model (`several_labels`); other text is Criteo lines: the label, then the dense features, then the
    fields, separated by tabs; so do the 32-bit integers of MLPerf stand, and torchrec's three files of NumPy. Text may
    be packed. With `multiline` a row of CSV may span several lines. `missing` are further words for a missing value;
    with `timestamps` these are read as numbers. `group` and `time` are columns that rows carry along (`row_marks`).
    ClickError: a file cannot be read so, or holds other columns.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        spec: ModelSpec,
        label: LabelColumns = "label",
        strict: bool = False,
        multiline: bool = False,
        missing: Collection[str] = (),
        timestamps: bool = False,
        group: str | None = None,
        time: str | None = None,
    ) -> None:
        self.spec = spec
        self.label = label
        self.labels = checked_columns(spec, label)
        self.multiline = multiline
        self.options = value_options(missing, timestamps)
        self.group = group
        self.time = time
        self.bad = BadRows(strict)
        found, self.passed_over = find(paths)
        self.files = [path for file in found for path in file.paths]
        marks = [name for name in (group, time) if name is not None]
        first, *more = self.labels
        columns = Columns(first, spec.features, marks, self.options, more)
        self._files = open_click_files(found, columns, multiline)
        self._counts: dict[Path, int] = {}

    @property
    def description(self) -> str:
        return listed([file.name for file in self._files])

    @property
    def identity(self) -> str:
        """The files as they are, and how they are read."""
        read_as = [*self.labels, *(f"{head.name} given {head.given}" for head in self.spec.heads if head.given)]
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
        self._counts |= zip((file.path for file in self._files), counts, strict=True)

    def has_moments(self) -> bool:
        """Whether the column of times holds moments rather than numbers, as the first rows show."""
        piece = next(self._files[0].pieces(0, _LOOKED_AT), None) if self.time is not None else None
        return piece is not None and holds_moments(piece().columns[-1])

    def bag_use(self) -> dict[str, BagUse]:
        """What rows have of bags, by feature, by the first ones of each file. ClickError: values look weighted."""
        places = {place: it.name for place, it in enumerate(self.spec.features, 1) if it.bag}
        found = {name: BagUse() for name in places.values()}
        of_each = max(1, LOOKED_AT // len(self._files))
        pieces = (piece for file in self._files for piece in file.pieces(0, of_each)) if places else iter(())
        for table in mapped_ahead(lambda piece: piece(), pieces):
            for place, name in places.items():
                found[name].add(table.columns[place])
        for name, use in found.items():
            if use.weighted:
                raise ClickError(
                    f"column {name!r}: its values have weights, as {shown(use.weighted)} has, and bags take none; "
                    "write the values alone"
                )
        return found

    def read(self, start: int, stop: int, size: int) -> Iterator[Clicks]:
        return prefetched(batches(self._placed(start, stop), start, size))

    def blocks(self, start: int = 0) -> Iterator[Clicks]:
        """All rows from `start` on once, in order, in blocks of any size; all are counted afterwards.

        A block of bad rows alone has no rows.
        """
        counts = Counter[Path]()
        place = start
        for encoded in mapped_ahead(self._encode, self._pieces_from(start, counts)):
            yield self._good(encoded, place)
            place += len(encoded.table)
            counts[encoded.file.path] += len(encoded.table)
        self._counts |= counts

    def _count(self, file: ClickFile) -> int:
        """Rows of one file; text has to be read for it, once, to its end."""
        if file.path not in self._counts:
            self._counts[file.path] = file.count()
        return self._counts[file.path]

    def _pieces_from(self, start: int, skipped: Counter[Path]) -> Iterator[FilePiece]:
        """All from row `start` on; how many rows of each file are before it is noted. Only these files are counted."""
        for file in self._files:
            skipped[file.path] = min(start, self._count(file)) if start else 0
            start -= skipped[file.path]
            for piece in file.pieces(skipped[file.path], sys.maxsize):
                yield file, piece

    def _pieces(self, start: int, stop: int) -> Iterator[FilePiece]:
        position = 0
        for file in self._files:
            rows = self._count(file)
            first, last = max(0, start - position), min(rows, stop - position)
            position += rows
            if first < last:
                for piece in file.pieces(first, last):
                    yield file, piece

    def _placed(self, start: int, stop: int) -> Iterator[tuple[int, Clicks]]:
        """Rows start..stop, and with each block the number of the row at which the next one begins."""
        place = start
        for encoded in mapped_ahead(self._encode, self._pieces(start, stop)):
            clicks = self._good(encoded, place)
            place += len(encoded.table)
            yield place, clicks

    def _encode(self, found: FilePiece) -> _Encoded:
        """Any thread may do so."""
        file, piece = found
        table = piece()
        behind = 1 + len(self.spec.features)
        places = (0, *range(behind, behind + len(self.labels) - 1))
        labels, wrong = read_labels(table, self.labels, places, self.spec.heads)
        batch, faults = encode_features(self.spec, table, range(1, 1 + len(self.spec.features)))
        marks = self._marks(file, table)
        return _Encoded(file, table, labels, batch, marks, wrong | faults | marks.faults)

    def _good(self, encoded: _Encoded, place: int) -> Clicks:
        """The good rows of a table, of which the first is row `place` of all files. Bad ones are noted, in order."""
        file, table, labels, batch, marks, faults = encoded
        if len(self.bad.valued) < len(self.labels) + len(self.spec.features):
            known = [name for name in self.labels if len(faults[name]) < len(labels)]
            self.bad.valued.update(valued_features(self.spec, batch), known)
        bad = self.bad.add_all(file, table, faults)
        good = np.flatnonzero(~bad[table.fitting])
        raw = partial(_raw_columns, table, range(1, 1 + len(self.spec.features)), good)
        groups = None if marks.groups is None else marks.groups[good]
        times = None if marks.times is None else marks.times[good]
        places = place + table.fitting[good]
        if len(good) < len(labels):
            labels, batch = labels[good], Batch._make(array.take(good, axis=0) for array in batch)
        return Clicks(labels, batch, raw, None, groups, times, places)

    def _marks(self, file: ClickFile, table: Table) -> Marks:
        columns = table.columns[len(self.labels) + len(self.spec.features) :]
        try:
            return row_marks(columns, self.group, self.time, self.options)
        except ClickError as error:
            raise ClickError(f"{file.name}: {error}") from None


def encode_features(spec: ModelSpec, table: Table, columns: Sequence[int]) -> tuple[Batch, dict[str, Faults]]:
    """The fitting rows as the model takes them, and by feature what is wrong with rows, whose values mean nothing.

    `columns` says where the features stand, in the order of the spec.
    """
    places = dict(zip(spec.feature_names, columns, strict=True))
    faults: dict[str, Faults] = {}
    batch = Batch.missing(spec.inputs, len(table.fitting))
    tensors: Sequence[npt.NDArray[Any]] = batch
    for tensor, array in zip(spec.inputs, tensors, strict=True):
        for place, feature in zip(tensor.places, tensor.features, strict=True):
            array[:, place], faults[feature.name] = table.encode(places[feature.name], feature)
    return batch, faults


def valued_features(spec: ModelSpec, batch: Batch) -> list[str]:
    """The features that are not missing in all rows."""
    names: list[str] = []
    tensors: Sequence[npt.NDArray[Any]] = batch
    for tensor, array in zip(spec.inputs, tensors, strict=True):
        missing = np.isnan(array) if np.isnan(tensor.missing) else array == tensor.missing
        names += [it.name for it, absent in zip(tensor.columns, missing.all(axis=0), strict=True) if not absent]
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
        if columns.more_labels and not files[-1].named:
            several = ", ".join(filter(None, [columns.label, *columns.more_labels]))
            raise ClickError(f"{files[-1].name}: its columns have no names, so it has one label and not {several}")
    names = {file.named: file.name for file in files}
    if len(names) > 1:
        raise ClickError(f"{names[True]} has columns with names and {names[False]} has none; give one or the other")
    return files


def list_columns(paths: Sequence[Path]) -> set[str]:
    """The columns that hold lists in some of the files that have types. ClickError: one cannot be read."""
    names: set[str] = set()
    for file in find(paths)[0]:
        try:
            form = None if file.others else typed_form(file.path)
        except OSError as error:
            raise ClickError(f"{file.path}: {error.strerror}") from None
        if form:
            names.update(_TYPED[form](file, Columns(None, ())).list_columns())
    return names


def _open(file: FoundFile, columns: Columns, multiline: bool) -> ClickFile:
    if file.others:
        return NumpyClicks(file, columns)
    form = typed_form(file.path)
    return _TYPED[form](file, columns) if form else open_text_clicks(file, columns, multiline)


def _raw_columns(table: Table, columns: Iterable[int], rows: Int64s) -> list[Column]:
    return [table.values(column, rows) for column in columns]
