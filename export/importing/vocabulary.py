"""Which row of its table a value has, as files of other projects say it.

A `.json` file is an object of value and row (or an object of those by feature, as FuxiCTR's). A `.npz` file has the
values in an array, in the order of their rows (Facebook's DLRM calls it `unique`); integers in it are ids as they are,
also those of hexadecimal tokens. Any other is text, a line a value: `value,row`, or the value alone, whose row is the
number of its line, the first being 0.
"""

import csv
import json
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from thimble.export.importing.weights import CheckpointError
from thimble.models.features import FeatureError, ids_from_text
from thimble.models.hashing import ID_LIMIT, Int64s
from thimble.models.inputs import Kind

UNSIGNED = np.int64(1 << 32)
"""Facebook's script keeps tokens of eight hexadecimal digits in int32, the upper half of them below 0."""


class RowsOfIds(NamedTuple):
    """The row of each id, int64 [ids] both; ids rise."""

    ids: Int64s
    rows: Int64s


class _Said(NamedTuple):
    """What a file says: values as text, or ids that they are already, and their rows."""

    values: Sequence[str] | Int64s
    rows: list[int] | range


def read_vocabulary(path: Path, feature: str, kind: Kind, table_rows: int) -> RowsOfIds:
    """CheckpointError: it is none, or goes beyond a table of so many rows. OSError: it cannot be read."""
    values, rows = _read(path, feature, kind)
    if not len(values):
        raise CheckpointError(f"{path} has no values of {feature}")
    lowest, highest = (rows[0], rows[-1]) if isinstance(rows, range) else (min(rows), max(rows))
    if not 0 <= lowest <= highest < table_rows:
        beyond = highest if highest >= table_rows else lowest
        raise CheckpointError(f"{path} speaks of row {beyond} of {feature}, whose table has {table_rows}")
    try:
        ids = values if isinstance(values, np.ndarray) else ids_from_text(feature, kind, values)
    except FeatureError as error:
        raise CheckpointError(f"{path}: value {error.row + 1} is no {kind} id: {error.reason}") from None
    numbers = np.array(rows, np.int64)
    order = np.argsort(ids, kind="stable")
    ids, numbers = ids[order], numbers[order]
    same = np.flatnonzero((ids[1:] == ids[:-1]) & (numbers[1:] != numbers[:-1]))
    if len(same):
        first, second = (values[order[same[0] + more]] for more in (0, 1))
        raise CheckpointError(f"{path}: {first!r} and {second!r} are one {kind} id, and have different rows")
    distinct = np.append(True, ids[1:] != ids[:-1])
    return RowsOfIds(ids[distinct], numbers[distinct])


def _read(path: Path, feature: str, kind: Kind) -> _Said:
    try:
        match path.suffix:
            case ".json":
                return _from_json(path, feature)
            case ".npz":
                return _from_array(path, feature, kind)
            case _:
                return _from_lines(path)
    except CheckpointError:
        raise
    except (ValueError, RuntimeError, EOFError, csv.Error, zipfile.BadZipFile, zlib.error) as error:
        raise CheckpointError(f"{path} is no vocabulary: {str(error) or type(error).__name__}") from None


def _from_json(path: Path, feature: str) -> _Said:
    found = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_Pairs)
    own = next((value for name, value in found if name == feature), None) if isinstance(found, _Pairs) else None
    pairs = own if isinstance(own, _Pairs) else found
    if not isinstance(pairs, _Pairs) or not all(type(row) is int for _, row in pairs):
        raise CheckpointError(f"{path} is no object of values and rows, and has none for {feature}")
    return _Said([value for value, _ in pairs], [row for _, row in pairs])


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with all its keys, also those that are there twice."""


def _from_array(path: Path, feature: str, kind: Kind) -> _Said:
    if not path.exists() or zipfile.is_zipfile(path):
        with np.load(path, allow_pickle=False) as arrays:
            keys = [key for key in ("unique", *arrays.files) if key in arrays.files]
            values: npt.NDArray[Any] = arrays[keys[0]] if keys else np.empty(0)
        values = values.ravel()
        if kind == "hex" and values.dtype == np.int32:
            values = np.where(values < 0, values + UNSIGNED, values)
        if kind != "string" and values.dtype.kind in "iu" and ((values >= 0) & (values < ID_LIMIT)).all():
            return _Said(values.astype(np.int64), range(values.size))
        if kind == "hex" and values.dtype.kind != "U":
            raise CheckpointError(f"{path} has numbers for {feature} that are no ids of hexadecimal tokens")
        return _Said([str(value) for value in values.tolist()], range(values.size))
    raise CheckpointError(f"{path} is no file of numpy.savez's")


def _from_lines(path: Path) -> _Said:
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file, strict=True)
        found: list[list[str]] = []
        for line in lines:
            if lines.line_num != len(found) + 1:
                raise CheckpointError(f"{path}: line {len(found) + 1} has a quotation mark that is not closed there")
            found.append(line)
    if all(len(line) < 2 for line in found):
        return _Said(["".join(line) for line in found], range(len(found)))
    values, rows = [], []
    for number, line in enumerate(found, 1):
        if line and (len(line) != 2 or not line[1].strip().isdecimal()):
            raise CheckpointError(f"{path}: line {number} is no value and row: {','.join(line)[:60]!r}")
        if line:
            values.append(line[0])
            rows.append(int(line[1]))
    return _Said(values, rows)
