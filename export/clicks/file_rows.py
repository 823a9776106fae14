"""Rows of files to be scored: all of them, in order, with columns that are carried along."""

import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from thimble.export.clicks.bad_rows import BadRows
from thimble.export.clicks.files import encode_features, open_click_files, valued_features
from thimble.export.clicks.folders import find
from thimble.export.clicks.prefetch import mapped_ahead
from thimble.export.clicks.tables import ClickFile, Columns, FilePiece, Table
from thimble.export.clicks.value_options import value_options
from thimble.models.faults import Faults
from thimble.models.features import Batch
from thimble.models.spec import ModelSpec

_SCORED = 1024  # rows


class KeyedRows(NamedTuple):
    """Some rows of one file.

    `keys` are the columns carried along, Arrow arrays in the file's own types. `bad`, bool [rows],
    marks the rows that cannot be scored; in the batch their bad values are missing.
    """

    keys: Sequence[Any]
    batch: Batch
    bad: npt.NDArray[np.bool_]


class FileRows:
    """Rows of a model's features from files that `FileClicks` reads, but once, and whether or not they have labels."""

    def __init__(
        self,
        paths: Sequence[Path],
        spec: ModelSpec,
        keys: Sequence[str] = (),
        strict: bool = False,
        multiline: bool = False,
        missing: Collection[str] = (),
        timestamps: bool = False,
    ) -> None:
        """ClickError: a file cannot be read, or lacks a column."""
        found, self.passed_over = find(paths)
        self.files = [path for file in found for path in file.paths]
        self.spec = spec
        self.keys = keys
        self.bad = BadRows(strict)
        columns = Columns(None, spec.features, keys, value_options(missing, timestamps))
        self._files = open_click_files(found, columns, multiline)

    def key_types(self) -> list[pa.DataType]:
        """What each key is in all files: its type, or text where they differ."""
        types = [set(of_files) for of_files in zip(*(file.key_types() for file in self._files), strict=True)]
        known = [some - {pa.null()} or some for some in types]
        return [next(iter(some)) if len(some) == 1 else pa.string() for some in known]

    def read(self) -> Iterator[KeyedRows]:
        """All rows, in constant memory. ClickError: a file is damaged, or a row is bad and is not to be."""
        features = range(len(self.spec.features))
        pieces = ((file, piece) for file in self._files for piece in file.pieces(0, sys.maxsize))

        def encoded(found: FilePiece) -> tuple[ClickFile, Table, Batch, dict[str, Faults]]:
            file, piece = found
            table = piece()
            return file, table, *encode_features(self.spec, table, features)

        for file, table, fitting, faults in mapped_ahead(encoded, pieces):
            if len(self.bad.valued) < len(features):
                self.bad.valued.update(valued_features(self.spec, fitting))
            bad = self.bad.add_all(file, table, faults)
            rows = KeyedRows(table.columns[len(features) :], fitting, bad)
            yield from _parts(_placed(rows, self.spec, table) if table.misfits else rows)


def _placed(rows: KeyedRows, spec: ModelSpec, table: Table) -> KeyedRows:
    """Fitting rows, with blank ones where the others stand."""
    batch = Batch.missing(spec.inputs, len(table))
    tensors: Sequence[npt.NDArray[Any]] = batch
    for tensor, values in zip(tensors, rows.batch, strict=True):
        tensor[table.fitting] = values
    places = np.zeros(len(table), np.int64)
    places[table.fitting] = np.arange(len(table.fitting))
    misfit = np.zeros(len(table), bool)
    misfit[list(table.misfits)] = True
    keys = [key.take(pa.array(places, mask=misfit)) for key in rows.keys]
    return KeyedRows(keys, batch, rows.bad)


def _parts(rows: KeyedRows) -> Iterator[KeyedRows]:
    """As many at a time as are scored together."""
    for start in range(0, len(rows.bad), _SCORED):
        stop = start + _SCORED
        yield KeyedRows([key[start:stop] for key in rows.keys], rows.batch.part(start, stop), rows.bad[start:stop])
