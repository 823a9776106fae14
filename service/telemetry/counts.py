"""What was counted until now, of all workers, as a matrix: a row a version, the columns of `columns`.

It is read every few seconds for as long as a server runs, so that costs as little as it can: of the files that workers
share, the keys are read once and only the values again.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from struct import unpack_from
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from prometheus_client import Histogram

from thimble.service.telemetry import metrics
from thimble.service.telemetry.columns import (
    LATENCIES,
    LATENCY,
    MEMORY,
    NAMES,
    QUEUED,
    ROWS,
    WIDTH,
    column_of,
    column_of_status,
)
from thimble.service.telemetry.series import Metric, Version

Matrix = npt.NDArray[np.float64]
SERVER: Version = ("", "")
"""What is counted of the server as a whole, in place of a version."""
# prometheus_client's files: how many bytes are in use, then entries of a length, a key, a value and a time.
_HEADER, _LENGTH, _VALUE_AND_TIME = 8, 4, 16
_KINDS = ("histogram", "gauge_livesum")


class Rows:
    """The rows of versions, in the order in which they came. SERVER is one, too."""

    def __init__(self) -> None:
        self.versions: list[Version] = []
        self._places: dict[Version, int] = {}

    def of(self, version: Version) -> int:
        if version not in self._places:
            self._places[version] = len(self.versions)
            self.versions.append(version)
        return self._places[version]


class Counts(Protocol):
    """Reads the matrix. Its `rows` only become more."""

    rows: Rows

    def read(self) -> Matrix: ...


class OwnCounts:
    """Those of the one process there is."""

    def __init__(self) -> None:
        self.rows = Rows()

    def read(self) -> Matrix:
        found: list[tuple[int, int | slice, float | list[float]]] = []
        for (model, version, status), requests in _children(metrics.REQUESTS):
            row, status_column, buckets = self.rows.of((model, version)), column_of_status(status), _buckets(requests)
            if status_column == LATENCY:
                found.append((row, LATENCIES, buckets))
            else:
                found.append((row, status_column, sum(buckets)))
        for (model, version), batches in _children(metrics.BATCH):
            found.append((self.rows.of((model, version)), ROWS, batches._sum.get()))
        for (model, version), queued in _children(metrics.QUEUED):
            found.append((self.rows.of((model, version)), QUEUED, queued._value.get()))
        found.append((self.rows.of(SERVER), MEMORY, metrics.RESIDENT._value.get()))
        matrix = np.zeros((len(self.rows.versions), WIDTH))
        for row, column, counted in found:
            matrix[row, column] += counted
        return matrix


class SharedCounts:
    """Those of several workers, by the files that each of them keeps in a folder."""

    def __init__(self, folder: Path) -> None:
        self.rows = Rows()
        self._folder = folder
        self._files: dict[Path, _File] = {}

    def read(self) -> Matrix:
        """OSError: a file is there and cannot be read now."""
        paths = {path for kind in _KINDS for path in self._folder.glob(f"{kind}_*.db")}
        self._files = {path: self._files.get(path) or _File(path, self.rows) for path in paths}
        found = [file.read() for file in self._files.values()]
        matrix = np.zeros((len(self.rows.versions), WIDTH))
        for rows, columns, values in found:
            np.add.at(matrix, (rows, columns), values)
        return matrix


class _File:
    """One of the files. Entries are only added to it, until another takes its place."""

    def __init__(self, path: Path, rows: Rows) -> None:
        self._path = path
        self._rows = rows
        self._inode = 0
        self._begin()

    def _begin(self) -> None:
        self._read_until = _HEADER
        self._places: list[tuple[int, int, int]] = []
        self._known = np.zeros((3, 0), np.int64)

    def read(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Matrix]:
        """Rows, columns and values of what has a column."""
        try:
            with self._path.open("rb") as file:
                inode = self._path.stat().st_ino
                content = file.read()
        except FileNotFoundError:  # it was of a worker that died
            inode, content = 0, bytes(_HEADER)
        used = unpack_from("i", content)[0]
        if inode != self._inode or used < self._read_until:
            self._inode = inode
            self._begin()
        if used > self._read_until:
            self._read_keys(content, used)
        rows, columns, places = self._known
        return rows, columns, np.frombuffer(content, np.float64, len(content) // 8)[places]

    def _read_keys(self, content: bytes, used: int) -> None:
        at = self._read_until
        while at < used:
            (length,) = unpack_from("i", content, at)
            _, name, labels, _ = json.loads(content[at + _LENGTH : at + _LENGTH + length])
            at += _LENGTH + length + 8 - (_LENGTH + length) % 8  # there is always some padding
            if name in NAMES and (column := column_of(name, labels)) is not None:
                self._places.append((self._rows.of(_version(labels)), column, at // 8))
            at += _VALUE_AND_TIME
        self._read_until = at
        self._known = np.array(self._places, np.int64).reshape(-1, 3).T


def counts() -> Counts:
    """Of this process, and of those that it shares its counts with."""
    return OwnCounts() if metrics.FOLDER is None else SharedCounts(metrics.FOLDER)


def _children(metric: Metric) -> list[tuple[Sequence[str], Metric]]:
    """Those of a metric by their labels. `collect` would make an object of each bucket, which takes far longer."""
    children: Any = metric._metrics
    with metric._lock:
        return list(children.items())


def _buckets(histogram: Histogram) -> list[float]:
    return [bucket.get() for bucket in histogram._buckets]


def _version(labels: dict[str, str]) -> Version:
    return labels.get("model", ""), labels.get("version", "")
