"""Which row of its table a value has, as files of other projects say it.

A `.json` file is an object of value and row (or an object of those by feature, as FuxiCTR's). A `.npz` file has the
values in an array, in the order of their rows (Facebook's DLRM calls it `unique`). Any other is text, a line a value:
`value,row`, or the value alone, whose row is the number of its line, the first being 0.
"""

import csv
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from thimble.export.importing.weights import CheckpointError
from thimble.models.features import FeatureError, ids_from_text
from thimble.models.hashing import Int64s
from thimble.models.inputs import Kind


class RowsOfIds(NamedTuple):
    """The row of each id, int64 [ids] both; ids rise."""

    ids: Int64s
    rows: Int64s


def read_vocabulary(path: Path, feature: str, kind: Kind, table_rows: int) -> RowsOfIds:
    """CheckpointError: it is none, or goes beyond a table of so many rows. OSError: it cannot be read."""
    values, rows = _read(path, feature)
    try:
        ids = ids_from_text(feature, kind, values)
    except FeatureError as error:
        raise CheckpointError(f"{path}: value {error.row + 1} is no {kind} id: {error.reason}") from None
    numbers = np.array(rows, np.int64)
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < table_rows:
        raise CheckpointError(
            f"{path} speaks of row {numbers.max() if numbers.max() >= table_rows else numbers.min()} "
            f"of {feature}, whose table has {table_rows}"
        )
    order = np.argsort(ids, kind="stable")
    ids, numbers = ids[order], numbers[order]
    same = np.flatnonzero((ids[1:] == ids[:-1]) & (numbers[1:] != numbers[:-1]))
    if len(same):
        first, second = (values[order[same[0] + more]] for more in (0, 1))
        raise CheckpointError(f"{path}: {first!r} and {second!r} are one {kind} id, and have different rows")
    distinct = np.append(True, ids[1:] != ids[:-1])[: len(ids)]
    return RowsOfIds(ids[distinct], numbers[distinct])


def _read(path: Path, feature: str) -> tuple[list[str], Sequence[int]]:
    try:
        match path.suffix:
            case ".json":
                return _from_json(path, feature)
            case ".npz":
                with np.load(path, allow_pickle=False) as arrays:
                    values = next((arrays[name] for name in ("unique", *arrays.files) if name in arrays), np.array([]))
                return [str(value) for value in values.ravel().tolist()], range(values.size)
            case _:
                return _from_lines(path)
    except (UnicodeDecodeError, ValueError, zipfile.BadZipFile, RecursionError, EOFError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path} is no vocabulary: {str(error) or type(error).__name__}") from None


def _from_json(path: Path, feature: str) -> tuple[list[str], Sequence[int]]:
    found = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(found, dict) and isinstance(found.get(feature), dict):
        found = found[feature]
    if not isinstance(found, dict) or not all(type(row) is int for row in found.values()):
        raise CheckpointError(f"{path} is no object of values and rows, and has none for {feature}")
    return list(found), list(found.values())


def _from_lines(path: Path) -> tuple[list[str], Sequence[int]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = [line for line in csv.reader(file) if line]
    if all(len(line) == 1 for line in lines):
        return [value for (value,) in lines], range(len(lines))
    for number, line in enumerate(lines, 1):
        if len(line) != 2 or not line[1].strip().isdecimal():
            raise CheckpointError(f"{path}: line {number} is no value and row: {','.join(line)[:60]!r}")
    return [value for value, _ in lines], [int(row) for _, row in lines]
