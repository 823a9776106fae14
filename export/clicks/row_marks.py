"""What rows carry along beside their features: whom they belong to, and when they were."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as types
import xxhash

from thimble.export.clicks.arrow_types import is_moment, is_text, seconds, texts, written
from thimble.export.clicks.rows import ClickError
from thimble.export.clicks.value_options import as_seconds
from thimble.models.conversions import shown
from thimble.models.hashing import Int64s


class Marks(NamedTuple):
    """`groups` int64 [rows] and `times` float64 [rows], as `Clicks` has them, and by column what is wrong with rows."""

    groups: Int64s | None
    times: npt.NDArray[np.float64] | None
    reasons: dict[str, dict[int, str]]


def row_marks(columns: Sequence[Any], group: str | None, time: str | None) -> Marks:
    """From the columns of the names that are not None, in this order. ClickError: a column's type is none for it."""
    left = iter(columns)
    groups = None if group is None else _groups(group, next(left))
    if time is None:
        return Marks(groups, None, {})
    times, wrong = _times(time, next(left))
    return Marks(groups, times, {time: wrong})


def _groups(name: str, array: Any) -> Int64s:
    """xxh3_64 of the text that a value is, or is written as; 0 where there is none."""
    if not types.is_dictionary(array.type):
        array = _converted(name, array, "what rows are grouped by", lambda: array.dictionary_encode())
    values = _converted(name, array, "what rows are grouped by", lambda: written(array.dictionary))
    hashed = [xxhash.xxh3_64_intdigest(it.encode("utf-8", "surrogateescape")) if it else 0 for it in values]
    of_values = np.append(np.array(hashed, np.uint64).view(np.int64), 0)  # the last is for missing ones
    groups: Int64s = of_values[array.indices.fill_null(len(values)).to_numpy()]
    return groups


def _times(name: str, array: Any) -> tuple[npt.NDArray[np.float64], dict[int, str]]:
    """Numbers as they are, moments as seconds since 1970; rows that have neither are bad."""
    if types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if is_text(array.type):
        times = np.array([_time(text) for text in texts(array)], np.float64)
    else:
        times = _converted(name, array, "a time", lambda: _numbers(array).to_numpy(zero_copy_only=False))
    missing = np.flatnonzero(~np.isfinite(times))
    values = written(array.take(pa.array(missing)))
    wrong = {int(row): f"{shown(value or '')} is no time" for row, value in zip(missing, values, strict=True)}
    return times, wrong


def _time(text: str | None) -> float:
    try:
        return float(as_seconds(text or ""))
    except ValueError:
        return np.nan


def _numbers(array: Any) -> Any:
    return seconds(array) if is_moment(array.type) else array.cast(pa.float64(), safe=False)


def _converted(name: str, array: Any, wanted: str, convert: Any) -> Any:
    try:
        return convert()
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        raise ClickError(f"column {name!r}: its type is {array.type}, which is not read as {wanted}") from None
