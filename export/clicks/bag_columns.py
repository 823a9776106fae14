"""Columns of bags: text with separators, or Arrow's lists, to the ids that a model takes.

What bags mean is defined in `thimble.models.bag_values`, a row at a time. Here a column of them is taken apart into all
its values at once, which are read as any column is, and put together again.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as types

from thimble.export.clicks.arrow_types import is_list, is_text, readable, texts
from thimble.export.clicks.encoding import Encoded, encode
from thimble.export.clicks.value_options import ValueOptions
from thimble.models.bags import Bag
from thimble.models.faults import Faults
from thimble.models.hashing import Int64s
from thimble.models.inputs import Feature, Kind, ValueKind


def readable_column(feature: Feature, array: Any, options: ValueOptions) -> Any:
    """A feature's column of a file as `encode` takes it, or `encode_bags` where it has bags."""
    if feature.bag is None:
        return readable(feature.kind, array, options)
    return _readable_bags(feature.kind, feature.bag.separator, array, options)


def encode_bags(array: Any, kind: Kind, bag: Bag, *, typed: bool) -> Encoded:
    """Lists of values, as `readable_column` makes them, to ids, int64 [rows, bag.values], filled up with 0.

    A row is bad for the first of its bad values. What is cut is not looked at.
    """
    lengths = bag_lengths(array)
    of_row = np.repeat(np.arange(len(array)), lengths)
    places = np.arange(len(of_row)) - (np.cumsum(lengths) - lengths)[of_row]
    values = bag_values(array)
    if len(lengths) and lengths.max() > bag.values:
        if bag.keep == "last":
            places -= np.maximum(lengths - bag.values, 0)[of_row]
        kept = np.flatnonzero((places >= 0) & (places < bag.values))
        of_row, places, values = of_row[kept], places[kept], values.take(pa.array(kept))
    encoded, faults = encode(values, kind, typed=typed)
    ids: Int64s = np.zeros((len(array), bag.values), np.int64)
    ids[of_row, places] = encoded
    if not faults:
        return ids, faults
    rows, first = np.unique(of_row[faults.rows], return_index=True)
    return ids, Faults(rows, lambda row: faults[int(faults.rows[first[np.searchsorted(rows, row)]])])


def bag_lengths(array: Any) -> Int64s:
    """How many values each row has, cut or not, of lists that `readable_column` made."""
    lengths: Int64s = np.diff(array.offsets.to_numpy())
    return lengths


def bag_values(array: Any) -> Any:
    """The values of all rows, of such lists."""
    offsets = array.offsets
    return array.values[offsets[0].as_py() : offsets[-1].as_py()]


def _readable_bags(kind: ValueKind, separator: str, array: Any, options: ValueOptions) -> Any:
    """Lists of values that `encode` takes, without blank and missing ones. No row is null, but a list may be empty."""
    if types.is_dictionary(array.type):
        if len(array.dictionary) > len(array):
            return _readable_bags(kind, separator, array.dictionary.take(array.indices), options)
        found = _readable_bags(kind, separator, array.dictionary, options).take(array.indices)
        return found if not found.null_count else _lists(_lengths(found), pc.list_flatten(found))
    lengths = np.ones(len(array), np.int64)
    if is_text(array.type):
        array = pc.split_pattern(array.cast(pa.large_binary()), separator)
    if is_list(array.type):
        lengths, array = _lengths(array), pc.list_flatten(array)
    if types.is_dictionary(array.type) and len(array.dictionary) > len(array):
        array = array.dictionary_decode()
    values = _trimmed(readable(kind, _trimmed(array), options))
    there = _are_there(values)
    if not there.all():
        of_row = np.repeat(np.arange(len(lengths)), lengths)
        lengths, values = np.bincount(of_row[there], minlength=len(lengths)), values.filter(pa.array(there))
    return _lists(lengths, values)


def _lists(lengths: Int64s, values: Any) -> Any:
    return pa.LargeListArray.from_arrays(pa.array(np.append(0, np.cumsum(lengths))), values)


def _lengths(lists: Any) -> Int64s:
    lengths: Int64s = pc.list_value_length(lists).fill_null(0).to_numpy().astype(np.int64)
    return lengths


def _trimmed(values: Any) -> Any:
    """Text without the blanks around it, which are Arrow's as they are Python's, and anything else as it is."""
    if types.is_dictionary(values.type):
        return pa.DictionaryArray.from_arrays(values.indices, _trimmed(values.dictionary))
    if not is_text(values.type):
        return values
    try:
        return pc.utf8_trim_whitespace(values.cast(pa.large_binary()).cast(pa.large_string()))
    except pa.ArrowInvalid:  # it is not all UTF-8
        words = [None if word is None else word.strip() for word in texts(values)]
        raw = [None if word is None else word.encode("utf-8", "surrogateescape") for word in words]
        return pa.array(raw, pa.large_binary())


def _are_there(values: Any) -> Any:
    """Which values are neither missing nor blank, bool [values]. A float that is none is how data frames write that."""
    if types.is_dictionary(values.type):
        of_each = np.append(_are_there(values.dictionary), False)
        return of_each[values.indices.cast(pa.int64()).fill_null(len(of_each) - 1).to_numpy()]
    there = values.is_valid()
    if is_text(values.type):
        there = pc.and_(there, pc.greater(pc.binary_length(values), 0).fill_null(False))
    if types.is_floating(values.type):
        there = pc.and_(there, pc.invert(pc.is_nan(values)).fill_null(False))
    return there.to_numpy(zero_copy_only=False)
