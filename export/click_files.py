"""Click files: Criteo lines, CSV and Parquet, streamed in constant memory."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from thimble.export.click_tables import ClickFile, Table
from thimble.export.clicks import ClickError, Clicks
from thimble.export.text_clicks import CriteoFile, CsvFile
from thimble.models.conversions import Column
from thimble.models.features import Batch
from thimble.models.hashing import Int64s
from thimble.models.inputs import Feature
from thimble.models.spec import ModelSpec

_BAD_SHOWN = 5


@dataclass
class BadRows:
    """The rows that had to be left out: how many, and the first few by name. `strict` makes the first one an error.

    Rows are read several times but counted once; the count stops at MOST, lest it grow with the file.
    """

    MOST: ClassVar[int] = 100_000

    strict: bool = False
    first: dict[str, str] = field(default_factory=dict)
    seen: set[tuple[Path, int]] = field(default_factory=set)

    def add(self, path: Path, line: int, reason: str) -> None:
        message = f"{path.name} line {line}: {reason}"
        if self.strict:
            raise ClickError(message)
        if len(self.seen) < self.MOST:
            self.seen.add((path, line))
        if len(self.first) < _BAD_SHOWN:
            self.first.setdefault(f"{path}:{line}", message)

    @property
    def count(self) -> int:
        return len(self.seen)


def click_files(paths: Sequence[Path]) -> list[Path]:
    """The files meant by files and folders, a folder's in natural order (day_2 before day_10)."""
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = [p for p in path.iterdir() if p.is_file() and not p.name.startswith(".")]
            files += sorted(inside, key=lambda p: [int(t) if t.isdigit() else t for t in re.split(r"(\d+)", p.name)])
        elif path.is_file():
            files.append(path)
        else:
            raise ClickError(f"{path}: no such file or folder")
    if not files:
        raise ClickError(f"no click files in {', '.join(map(str, paths))}")
    return files


class FileClicks:
    """Clicks of a model's schema from files, read in the order given.

    `.csv` and `.parquet` have named columns, `label` among them; anything else is Criteo lines: the label, then the
    dense features, then the fields, separated by tabs. `.gz` is unpacked on the way (not Parquet). With `multiline` a
    row of CSV may span several lines.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        spec: ModelSpec,
        label: str = "label",
        strict: bool = False,
        multiline: bool = False,
    ) -> None:
        self.files = click_files(paths)
        if len({_suffix(path) == ".parquet" for path in self.files}) > 1:
            raise ClickError("Parquet files and text files cannot be mixed in one run")
        if label in spec.feature_names:
            raise ClickError(f"the label {label!r} is also a feature, so the model would be told what it is to guess")
        self.spec = spec
        self.label = label
        self.multiline = multiline
        self.bad = BadRows(strict)
        self._counts: dict[Path, int] = {}

    @property
    def description(self) -> str:
        return ", ".join(path.name for path in self.files)

    @property
    def identity(self) -> str:
        stats = [(path.resolve(), path.stat()) for path in self.files]
        read_as = [self.label, "multiline"] if self.multiline else [self.label]
        return "; ".join([*read_as, *(f"{path}, {stat.st_size}, {stat.st_mtime_ns}" for path, stat in stats)])

    def count(self) -> int:
        return sum(self.count_file(path) for path in self.files)

    def count_file(self, path: Path) -> int:
        """Rows of one file; text has to be read for it, once, to its end."""
        if path not in self._counts:
            self._counts[path] = self._open(path).count()
        return self._counts[path]

    def read(self, start: int, stop: int, size: int) -> Iterator[Clicks]:
        parts: list[Clicks] = []
        room = size
        for path, table in self._tables(start, stop):
            done = 0
            while done < len(table.lines):
                part = table.part(done, done + room)
                parts.append(self._encode(path, part))
                done += len(part.lines)
                room -= len(part.lines)
                if not room:
                    yield _joined(parts)
                    parts, room = [], size
        if parts:
            yield _joined(parts)

    def _tables(self, start: int, stop: int) -> Iterator[tuple[Path, Table]]:
        position = 0
        for path in self.files:
            rows = self.count_file(path)
            first, last = max(0, start - position), min(rows, stop - position)
            position += rows
            if first < last:
                for table in self._open(path).tables(first, last):
                    yield path, table

    def _open(self, path: Path) -> ClickFile:
        names = [self.label, *self.spec.feature_names]
        match _suffix(path):
            case ".parquet":
                from thimble.export.parquet_clicks import ParquetFile  # Arrow is slow to import and seldom needed

                return ParquetFile(path, [Feature(self.label, "number"), *self.spec.features])
            case ".csv":
                return CsvFile(path, names, self.multiline)
            case _:
                return CriteoFile(path, names)

    def _encode(self, path: Path, table: Table) -> Clicks:
        """Rows to arrays. Bad rows are left out and noted, each with the first thing that is wrong with it."""
        labels, wrong = table.labels()
        reasons = {self.label: wrong}
        columns = {name: column for column, name in enumerate(self.spec.feature_names, 1)}
        batch = Batch.missing(self.spec.inputs, len(labels))
        tensors: Sequence[npt.NDArray[Any]] = batch
        for tensor, array in zip(self.spec.inputs, tensors, strict=True):
            for place, feature in enumerate(tensor.features):
                array[:, place], reasons[feature.name] = table.encode(columns[feature.name], feature.kind)
        bad = dict(table.misfits)
        for name, wrong in reasons.items():
            for row, reason in wrong.items():
                bad.setdefault(row, f"{name}: {reason}")
        for row, reason in bad.items():
            self.bad.add(path, table.lines[row], reason)
        good = np.delete(np.arange(len(labels)), list(bad)) if bad else slice(None)
        raw = partial(_raw_columns, table, columns.values(), good)
        return Clicks(labels[good], Batch._make(array[good] for array in tensors), raw)


def _raw_columns(table: Table, columns: Iterable[int], good: slice | Int64s) -> list[Column]:
    values = [table.values(column) for column in columns]
    return values if isinstance(good, slice) else [[column[row] for row in good] for column in values]


def _joined(parts: Sequence[Clicks]) -> Clicks:
    """Rows of several tables one after the other."""
    if len(parts) == 1:
        return parts[0]
    labels, batches, raws, _ = zip(*parts, strict=True)
    return Clicks(np.concatenate(labels), Batch.joined(batches), partial(_raw_joined, raws))


def _raw_joined(parts: Sequence[Callable[[], Sequence[Column]]]) -> list[Column]:
    return [list(chain.from_iterable(columns)) for columns in zip(*(part() for part in parts), strict=True)]


def _suffix(path: Path) -> str:
    return (Path(path.stem) if path.suffix == ".gz" else path).suffix.lower()
