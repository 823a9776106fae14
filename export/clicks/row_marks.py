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
from thimble.export.clicks.value_options import ValueOptions, as_moment
from thimble.models.conversions import FROM_TEXT, exact_number, shown
from thimble.models.faults import Faults
from thimble.models.hashing import Int64s
from thimble.models.inputs import ValueKind


class Marks(NamedTuple):
    """`groups` int64 [rows] and `times` float64 [rows], as `Clicks` has them, and by column what is wrong with rows."""

    groups: Int64s | None
    times: npt.NDArray[np.float64] | None
    faults: dict[str, Faults]


def row_marks(columns: Sequence[Any], group: str | None, time: str | None, options: ValueOptions) -> Marks:
    """From the columns of the names that are not None, in this order. ClickError: a column's type is none for it."""
    left = iter(columns)
    groups = None if group is None else _groups(group, next(left), options)
    if time is None:
        return Marks(groups, None, {})
    times, wrong = _times(time, next(left), options)
    return Marks(groups, times, {time: wrong})


def holds_moments(array: Any) -> bool:
    """Whether times are moments, or text some of which says one, rather than numbers."""
    if types.is_dictionary(array.type):
        array = array.dictionary
    if is_text(array.type):
        return any(as_moment(text) is not None for text in texts(array) if text)
    return is_moment(array.type)


def _groups(name: str, array: Any, options: ValueOptions) -> Int64s:
    """xxh3_64 of the text that a value is, or is written as; 0 where there is none, as of a feature of text."""
    array = _converted(name, array, "what rows are grouped by", lambda: _distinct(array))
    values = _converted(name, array, "what rows are grouped by", lambda: _known("string", array.dictionary, options))
    hashed = [xxhash.xxh3_64_intdigest(it.encode("utf-8", "surrogateescape")) if it else 0 for it in values]
    groups: Int64s = _spread(array.indices, np.array(hashed, np.uint64).view(np.int64), 0)
    return groups


def _times(name: str, array: Any, options: ValueOptions) -> tuple[npt.NDArray[np.float64], Faults]:
    """Numbers as they are, moments as seconds since 1970; rows that have neither are bad."""
    array = _converted(name, array, "a time", lambda: _distinct(array))
    times = _converted(name, array, "a time", lambda: _of_each(array.dictionary, options))
    times = _spread(array.indices, times, np.nan)

    def reason(row: int) -> str:
        (value,) = written(array.slice(row, 1).dictionary_decode())
        return f"{shown(value or '')} is no time"

    return times, Faults(np.flatnonzero(~np.isfinite(times)), reason)


def _of_each(array: Any, options: ValueOptions) -> npt.NDArray[np.float64]:
    if is_text(array.type):
        return np.array([_time(text) for text in _known("number", array, options)], np.float64)
    numbers = seconds(array) if is_moment(array.type) else array.cast(pa.float64(), safe=False)
    times: npt.NDArray[np.float64] = numbers.to_numpy(zero_copy_only=False)
    if options.missing:
        absent = np.array(options.absent("number", written(array)), bool)
        times = np.where(absent, np.nan, times)
    return times


def _time(text: str | None) -> float:
    """A number as features are read, or else a moment."""
    token = (text or "").strip()
    number = exact_number(token)
    if number is not None:
        return float(number)
    moment = as_moment(token)
    return np.nan if moment is None else moment.timestamp()


def _known(kind: ValueKind, array: Any, options: ValueOptions) -> list[str | None]:
    """Values as they are written, None where one is missing, and that is what data frames write NaN for."""
    values = written(array)
    if types.is_floating(array.type):
        nan = np.isnan(array.to_numpy(zero_copy_only=False)).tolist()
        values = [None if gone else it for it, gone in zip(values, nan, strict=True)]
    plain, absent = FROM_TEXT[kind].plain, options.absent(kind, values)
    return [None if it is None or gone or not plain(it) else it for it, gone in zip(values, absent, strict=True)]


def _distinct(array: Any) -> Any:
    """As a dictionary that is no longer than the rows."""
    if types.is_dictionary(array.type):
        if len(array.dictionary) <= len(array):
            return array
        array = array.dictionary_decode()
    return array.dictionary_encode()


def _spread(indices: Any, values: npt.NDArray[Any], missing: float) -> npt.NDArray[Any]:
    """The values of a dictionary to the rows that have them."""
    with_missing = np.append(values, np.array(missing, values.dtype))
    spread: npt.NDArray[Any] = with_missing[indices.cast(pa.int64()).fill_null(len(values)).to_numpy()]
    return spread


def _converted(name: str, array: Any, wanted: str, convert: Any) -> Any:
    try:
        return convert()
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        raise ClickError(f"column {name!r}: its type is {array.type}, which is not read as {wanted}") from None
