"""Arrow arrays to the columns that a model takes, with what is wrong with their bad values."""

from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as types

from thimble.export.clicks.arrow_types import is_list, is_text, texts
from thimble.export.clicks.text_values import Mask, TextColumn, ids_in, labels_in, numbers_in, text_column, tokens_in
from thimble.models.conversions import EXACT_FLOATS, Column, shown
from thimble.models.faults import Faults
from thimble.models.features import encode_column
from thimble.models.hashing import ID_LIMIT, Floats, Int64s
from thimble.models.inputs import ValueKind
from thimble.models.labels import clicked

EncodedLabels = tuple[Floats, Faults]
Encoded = tuple[npt.NDArray[Any], Faults]
"""A column as the model takes it, and what is wrong with its bad rows, whose values mean nothing."""

_IN_TEXT: dict[ValueKind, Callable[[TextColumn], tuple[npt.NDArray[Any], Mask]]] = {
    "number": numbers_in,
    "int": ids_in,
    "hex": tokens_in,
}


def encode(array: Any, kind: ValueKind, *, typed: bool) -> Encoded:
    """Numbers, float32 [rows], or ids, int64 [rows].

    All at once, but for the doubtful values, which are read as `encode_column` does, each once however often it comes.
    Text is `typed` where a file has other types as well; a number in text is the same in all files.
    """
    if types.is_dictionary(array.type):
        return _spread(array.indices, *encode(array.dictionary, kind, typed=typed))
    if is_text(array.type) and kind in _IN_TEXT:
        encoded, doubtful = _IN_TEXT[kind](text_column(array))
        typed = typed and kind != "number"
    elif kind == "number" and _is_number(array.type):
        encoded, doubtful = _numbers(array)
    elif kind == "int" and _is_number(array.type):
        encoded, doubtful = _ids(array)
    else:
        return _one_by_one(array, kind, typed)
    if not doubtful.any():
        return encoded, Faults.none()
    rows = np.flatnonzero(doubtful)
    return _mended(encoded, rows, *_one_by_one(array.take(pa.array(rows)), kind, typed))


def encode_labels(array: Any) -> EncodedLabels:
    """Zeros and ones, float32 [rows], of text or typed; a missing one is bad."""
    if types.is_dictionary(array.type):
        array = array.dictionary_decode()
    labels: Floats = np.zeros(len(array), np.float32)
    doubtful: Mask = np.ones(len(array), bool)
    if is_text(array.type):
        labels, doubtful = labels_in(text_column(array))
    elif _is_number(array.type):
        values = array.to_numpy(zero_copy_only=False)
        labels, doubtful = (values == 1).astype(np.float32), (values != 0) & (values != 1)
    if not doubtful.any():
        return labels, Faults.none()
    rows = np.flatnonzero(doubtful)
    distinct = array.take(pa.array(rows)).dictionary_encode("encode")
    return _mended(labels, rows, *_spread(distinct.indices, *read_labels(values_of(distinct.dictionary))))


def read_labels(values: Column) -> EncodedLabels:
    """Zeros and ones of Python values, text or typed."""
    labels = [clicked(value) for value in values]
    wrong = np.array([row for row, label in enumerate(labels) if label is None], np.int64)
    faults = Faults(wrong, lambda row: f"{shown(values[row])} is not 0 or 1")
    return np.array([label or 0 for label in labels], np.float32), faults


def values_of(array: Any) -> Column:
    """Python values, None where one is missing, and that is what data frames write a missing number as NaN for.

    Of lists these are lists.
    """
    if types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if is_list(array.type):
        values = iter(values_of(pc.list_flatten(array)))
        return [[*islice(values, length)] for length in pc.list_value_length(array).to_pylist()]
    if is_text(array.type):
        return texts(array)
    return [None if value != value else value for value in array.to_pylist()]


def _one_by_one(array: Any, kind: ValueKind, typed: bool) -> Encoded:
    """By the definition of what values mean, each once however often it comes."""
    distinct = array.dictionary_encode()
    values = values_of(distinct.dictionary)
    if kind == "int" and types.is_floating(array.type):
        values = _of_width(array.type, values)
    if not typed:
        values = [value or "" for value in values]
    return _spread(distinct.indices, *encode_column(kind, values, typed=typed))


def _spread(indices: Any, encoded: npt.NDArray[Any], bad: Faults) -> Encoded:
    """Values of a dictionary to the rows that have them, missing ones to the others."""
    last = len(encoded)
    places = indices.cast(pa.int64()).fill_null(last).to_numpy()
    missing = np.nan if encoded.dtype == np.float32 else 0
    found = np.append(encoded, np.array(missing, encoded.dtype))[places]
    if not bad:
        return found, bad
    is_bad = np.zeros(last + 1, bool)
    is_bad[bad.rows] = True
    return found, Faults(np.flatnonzero(is_bad[places]), lambda row: bad[int(places[row])])


def _mended(encoded: npt.NDArray[Any], rows: Int64s, values: npt.NDArray[Any], bad: Faults) -> Encoded:
    """With values put into rows of theirs."""
    encoded = encoded.copy()  # it may be Arrow's own memory
    encoded[rows] = values
    return encoded, Faults(rows[bad.rows], lambda row: bad[int(np.searchsorted(rows, row))])


def _is_number(kind: Any) -> bool:
    return bool(types.is_integer(kind) or types.is_floating(kind))


def _numbers(array: Any) -> tuple[Floats, Mask]:
    """float32 by way of float64, as other numbers are; doubtful is what float32 cannot hold."""
    with np.errstate(over="ignore"):
        numbers = array.to_numpy(zero_copy_only=False).astype(np.float64).astype(np.float32)
    return numbers, np.isinf(numbers)


def _ids(array: Any) -> tuple[Int64s, Mask]:
    """Missing ids are 0; doubtful is what is none, fractions among them: gaps make a data frame's integers floats."""
    found, limit = array.fill_null(0).to_numpy(), ID_LIMIT
    if types.is_floating(array.type):
        found = np.where(np.isnan(found), 0, found)
        limit = EXACT_FLOATS[found.dtype.type]
    doubtful = (found < 0) | (found >= limit) | (found != np.trunc(found))
    return np.where(doubtful, 0, found).astype(np.int64), doubtful


def _of_width(type_: Any, values: Column) -> Column:
    """Floats that tell from which integer on they are not exact, as Python's own do for those of 64 bits."""
    if types.is_float64(type_):
        return values
    narrow = type_.to_pandas_dtype()
    return [None if value is None else narrow(value) for value in values]
