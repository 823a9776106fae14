"""Click files: Criteo lines, CSV and Parquet, streamed in constant memory."""

import csv
import gzip
import math
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, ClassVar, NamedTuple, Protocol, cast

import numpy as np
import numpy.typing as npt

from thimble.models.features import Batch, Column, FeatureError, batch_from_text, batch_from_values, shown
from thimble.models.hashing import Floats
from thimble.models.spec import ModelSpec

Row = Sequence[Any]
_BAD_SHOWN = 5


class ClickError(ValueError):
    """Click data that cannot be used; the message names the file and the line."""


class Clicks(NamedTuple):
    """Labelled rows. `raw` are the feature columns as read, `truth` the hidden logits of generated clicks."""

    labels: Floats
    batch: Batch
    raw: Sequence[Column] = ()
    truth: npt.NDArray[np.float64] | None = None


class ClickSource(Protocol):
    """Where clicks come from, addressed by row number so that training can stop and resume anywhere."""

    @property
    def description(self) -> str: ...

    @property
    def identity(self) -> str:
        """The same only for the very same clicks: a run resumes, and an export reads them again, only if it is."""

    def count(self) -> int:
        """Rows there are, bad ones included."""

    def read(self, start: int, stop: int, size: int) -> Iterator[Clicks]:
        """Rows start..stop, `size` rows at a time; bad rows are left out of their batch."""


@dataclass(frozen=True)
class Rows:
    """A range of rows of a source."""

    source: ClickSource
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def read(self, size: int, skip: int = 0) -> Iterator[Clicks]:
        return self.source.read(self.start + skip, self.stop, size)

    def first(self, rows: int) -> "Rows":
        return Rows(self.source, self.start, min(self.stop, self.start + rows))


@dataclass
class BadRows:
    """The rows that had to be left out: how many, and the first few by name. `strict` makes the first one an error.

    Rows are read several times but counted once; the count stops at MOST, lest it grow with the file.
    """

    MOST: ClassVar[int] = 100_000

    strict: bool = False
    first: dict[str, str] = field(default_factory=dict)
    places: set[tuple[Path, int]] = field(default_factory=set)

    def add(self, path: Path, line: int, reason: str) -> None:
        message = f"{path.name} line {line}: {reason}"
        if self.strict:
            raise ClickError(message)
        if len(self.places) < self.MOST:
            self.places.add((path, line))
        if len(self.first) < _BAD_SHOWN:
            self.first.setdefault(f"{path}:{line}", message)

    @property
    def count(self) -> int:
        return len(self.places)


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
    dense features, then the fields, separated by tabs. `.gz` is unpacked on the way (not Parquet).
    """

    def __init__(self, paths: Sequence[Path], spec: ModelSpec, label: str = "label", strict: bool = False) -> None:
        self.files = click_files(paths)
        if len({_suffix(path) == ".parquet" for path in self.files}) > 1:
            raise ClickError("Parquet files and text files cannot be mixed in one run")
        self.typed = _suffix(self.files[0]) == ".parquet"
        if label in spec.feature_names:
            raise ClickError(f"the label {label!r} is also a feature, so the model would be told what it is to guess")
        self.spec = spec
        self.label = label
        self.bad = BadRows(strict)
        self._counts: dict[Path, int] = {}

    @property
    def description(self) -> str:
        return ", ".join(path.name for path in self.files)

    @property
    def identity(self) -> str:
        stats = [(path.resolve(), path.stat()) for path in self.files]
        return "; ".join([self.label, *(f"{path}, {stat.st_size}, {stat.st_mtime_ns}" for path, stat in stats)])

    def count(self) -> int:
        return sum(self.count_file(path) for path in self.files)

    def count_file(self, path: Path) -> int:
        """Rows of one file, found by reading it once to its end; a truncated .gz shows here."""
        if path not in self._counts:
            if self.typed:
                self._counts[path] = _parquet_rows(path)
            else:
                self._counts[path] = sum(1 for _ in self._text_rows(path))
        return self._counts[path]

    def read(self, start: int, stop: int, size: int) -> Iterator[Clicks]:
        position = 0
        pending: list[tuple[Path, int, Row]] = []
        for path in self.files:
            rows = self.count_file(path)
            skip, take = max(0, start - position), min(rows, stop - position)
            position += rows
            if skip >= take:
                continue
            for index, (line, row) in enumerate(self._rows(path)):
                if index >= take:
                    break
                if index >= skip:
                    pending.append((path, line, row))
                    if len(pending) == size:
                        yield self._encode(pending)
                        pending = []
        if pending:
            yield self._encode(pending)

    def _rows(self, path: Path) -> Iterator[tuple[int, Row]]:
        return self._parquet_rows(path) if self.typed else self._text_rows(path)

    def _text_rows(self, path: Path) -> Iterator[tuple[int, Row]]:
        line = 0
        try:
            with _open_text(path) as file:
                rows = self._csv_rows(path, file) if _suffix(path) == ".csv" else _criteo_rows(file)
                for line, row in rows:
                    yield line, row
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ClickError(f"{path.name}: damaged after line {line}: {error}") from None
        except csv.Error as error:
            raise ClickError(f"{path.name}: not readable after line {line}: {error}") from None
        except OSError as error:
            raise ClickError(f"{path}: {error.strerror}") from None

    def _csv_rows(self, path: Path, file: IO[str]) -> Iterator[tuple[int, Row]]:
        reader = csv.reader(file)
        header = next(reader, None)
        if header is None:
            raise ClickError(f"{path.name}: empty, a header line was expected")
        places = [self._place(path, header, name) for name in (self.label, *self.spec.feature_names)]
        for row in reader:
            if len(row) == len(header):
                yield reader.line_num, [row[place] for place in places]
            elif row:
                yield reader.line_num, row[:0]

    def _parquet_rows(self, path: Path) -> Iterator[tuple[int, Row]]:
        import pyarrow.parquet

        names = [self.label, *self.spec.feature_names]
        line = 0
        try:
            with pyarrow.parquet.ParquetFile(path) as file:
                for name in names:
                    self._place(path, file.schema_arrow.names, name)
                for block in file.iter_batches(batch_size=4096, columns=names):
                    columns = [block.column(name).to_pylist() for name in names]
                    for row in zip(*columns, strict=True):
                        line += 1
                        yield line, row
        except (pyarrow.ArrowException, OSError) as error:
            raise ClickError(f"{path.name}: damaged after row {line}: {error}") from None

    def _place(self, path: Path, header: list[str], name: str) -> int:
        if header.count(name) > 1:
            raise ClickError(f"{path.name}: {header.count(name)} columns are called {name!r}")
        try:
            return header.index(name)
        except ValueError:
            raise ClickError(f"{path.name}: no column {name!r}; there are {', '.join(header)}") from None

    def _encode(self, rows: list[tuple[Path, int, Row]]) -> Clicks:
        """Rows to arrays. A bad row is left out and noted, and the rest is tried again."""
        width = 1 + len(self.spec.feature_names)
        good = []
        for path, line, row in rows:
            if len(row) == width:
                good.append((path, line, row))
            else:
                found = f"found {len(row)}" if row else "found another number"
                self.bad.add(path, line, f"{width} columns expected, {found}")
        while good:
            columns: list[Column] = list(zip(*(row for _, _, row in good), strict=True))
            try:
                labels = _labels(self.label, columns[0])
                raw = [_none_for_nan(column) for column in columns[1:]] if self.typed else columns[1:]
                batch = (batch_from_values if self.typed else batch_from_text)(self.spec, raw)
                return Clicks(labels, batch, raw)
            except FeatureError as error:
                path, line, _ = good.pop(error.row)
                self.bad.add(path, line, str(error))
        return Clicks(np.zeros(0, np.float32), Batch.missing(self.spec.inputs, 0))


def split(source: ClickSource, held_out: ClickSource | None = None, share: float = 0.1) -> tuple[Rows, Rows]:
    """Training rows and held-out rows: those of a source of their own, or the last `share` of the one."""
    rows = source.count()
    if held_out is not None and source.identity == held_out.identity:
        raise ClickError(f"{source.description} cannot be both trained on and held out")
    if held_out is not None:
        parts = Rows(source, 0, rows), Rows(held_out, 0, held_out.count())
    else:
        parts = Rows(source, 0, rows - math.ceil(rows * share)), Rows(source, rows - math.ceil(rows * share), rows)
    if not len(parts[0]) or not len(parts[1]):
        raise ClickError(f"{source.description}: {rows} rows are too few to train on some and hold out others")
    return parts


def _suffix(path: Path) -> str:
    return (Path(path.stem) if path.suffix == ".gz" else path).suffix.lower()


def _open_text(path: Path) -> IO[str]:
    """Undecodable bytes become surrogates, which no feature accepts: the line is reported, not the whole file.

    Excel starts its UTF-8 with a byte order mark, which would stick to the first column's name.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    return cast(IO[str], opener(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline=""))


def _criteo_rows(file: IO[str]) -> Iterator[tuple[int, Row]]:
    for line, text in enumerate(file, 1):
        yield line, text.rstrip("\r\n").split("\t")


def _parquet_rows(path: Path) -> int:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            return int(file.metadata.num_rows)
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise ClickError(f"{path.name}: not readable as Parquet: {error}") from None


def _labels(name: str, values: Column) -> Floats:
    clicked = {"0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0, 0: 0.0, 1: 1.0}
    try:
        return np.array([clicked[value] for value in values], dtype=np.float32)
    except (KeyError, TypeError):
        for row, value in enumerate(values):
            if not isinstance(value, str | int | float) or value not in clicked:
                raise FeatureError(name, row, f"{shown(value)} is not 0 or 1") from None
        raise


def _none_for_nan(values: Column) -> Column:
    """Data frames write a missing number as NaN."""
    return [None if value != value else value for value in values]
