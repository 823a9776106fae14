"""Columns are read all at once, and mean what their values mean one by one."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from testing.text_values import HOLEY, TEXTS, TRICKY, escaped
from thimble.export.clicks.encoding import encode, encode_labels, read_labels
from thimble.models.features import encode_column
from thimble.models.inputs import ValueKind

KINDS: list[ValueKind] = ["number", "int", "hex", "string"]


def stored(values: list[str], kind: Any = None) -> Any:
    kind = kind or pa.binary()
    return pa.array([value.encode("utf-8", "surrogateescape") for value in values], pa.binary()).cast(kind)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=120, deadline=None)
@given(values=st.lists((TEXTS | HOLEY).filter(escaped), max_size=12), start=st.integers(0, 3))
@example(values=TRICKY, start=0)
@example(values=["8bytes00", "x", "", "12345678", "123"], start=1)
def test_a_column_of_text_means_what_its_values_mean(kind: ValueKind, values: list[str], start: int) -> None:
    """Bit for bit, and with the same reasons, from the middle of an array as well."""
    array = stored([*values[:start], *values])[len(values[:start]) :]
    expected, reasons = encode_column(kind, values, typed=False)
    for form in (array, array.dictionary_encode()):
        encoded, found = encode(form, kind, typed=False)
        assert (encoded.dtype, encoded.tobytes()) == (expected.dtype, expected.tobytes())
        assert found == reasons


@settings(max_examples=120, deadline=None)
@given(values=st.lists((TEXTS | HOLEY).filter(escaped), max_size=12))
@example(values=[*TRICKY, "1", "0", "1.0", "0.0", "True", "false", " 1"])
def test_labels_in_text_are_those_of_their_values(values: list[str]) -> None:
    expected, reasons = read_labels(values)
    labels, found = encode_labels(stored(values))
    assert (labels.tobytes(), found) == (expected.tobytes(), reasons)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=50, deadline=None)
@given(values=st.lists(st.none() | TEXTS.filter(escaped), min_size=1, max_size=12))
def test_text_of_files_with_types_means_what_its_values_mean(kind: ValueKind, values: list[str | None]) -> None:
    raw = [None if value is None else value.encode("utf-8", "surrogateescape") for value in values]
    if kind == "number":
        expected, reasons = encode_column(kind, [value or "" for value in values], typed=False)
    else:
        expected, reasons = encode_column(kind, values, typed=True)
    for type_ in (pa.binary(), pa.large_binary()):
        encoded, found = encode(pa.array(raw, type_), kind, typed=True)
        assert (encoded.tobytes(), found) == (expected.tobytes(), reasons)


@pytest.mark.parametrize("kind", KINDS)
def test_values_behind_missing_ones_are_not_read(kind: ValueKind) -> None:
    """Arrow lets a missing value have bytes of its own."""
    offsets, data = np.array([0, 3, 4], np.int32), b"xyz7"
    valid = pa.py_buffer(bytes([0b10]))
    array = pa.Array.from_buffers(pa.string(), 2, [valid, pa.py_buffer(offsets), pa.py_buffer(data)])
    encoded, bad = encode(array, kind, typed=True)
    expected, _ = encode_column(kind, ["", "7"], typed=False)
    assert np.array_equal(encoded, expected, equal_nan=True) and not bad


def test_of_a_large_dictionary_only_what_rows_have_can_be_bad() -> None:
    array = pa.DictionaryArray.from_arrays(pa.array([1, None, 1, 3], pa.int8()), pa.array(["x", "1", "y", "z"]))
    encoded, bad = encode(array, "int", typed=True)
    assert encoded.tolist() == [1, 0, 1, 0]
    assert bad == {3: "'z' is not an integer"}
