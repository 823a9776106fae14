"""Columns as people have them: what is sent of them, and what is refused before."""

import datetime
import enum
from array import array
from collections import deque
from decimal import Decimal
from typing import Any

import numpy as np
import orjson
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from thimble.client import ThimbleError
from thimble.client.columns import features_json

NUMBERS = [1, 2, None]
TEXTS = ["a", "b", None]


def sent(column: Any) -> Any:
    return orjson.loads(features_json({"x": column})[0])["features"]["x"]


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


@pytest.mark.parametrize(
    "column",
    [
        (1, 2, None),
        (value for value in NUMBERS),
        deque(NUMBERS),
        dict(zip("abc", NUMBERS, strict=True)).values(),
        [np.int8(1), np.float16(2), np.float64("nan")],
        [np.array(1), Size.LARGE, pd.NaT],
        [Decimal(1), Decimal("2.0"), Decimal("nan")],
        np.array([1, 2, np.nan], np.float16),
        np.array([1, 2, np.nan], np.longdouble),
        np.array([1, 2, np.nan], ">f8"),
        np.array(NUMBERS, object),
        np.asfortranarray([[1, 0], [2, 0], [np.nan, 0]])[:, 0],
        np.array([np.nan, 0, 2, 0, 1])[::-2],
        np.ma.masked_array([1, 2, 3], [False, False, True]),
        np.ma.masked_array(np.ones(3, np.float32) * [1, 2, 3], [False, False, True]),
        np.array([1, 0, 2, 0, np.nan], np.float32)[::2],
        np.array([1, 2, np.nan], ">f4"),
        pd.Series(NUMBERS),
        pd.Series(NUMBERS, dtype=object),
        pd.Series(NUMBERS, dtype="Int64"),
        pd.Series(NUMBERS, dtype="Float32"),
        pd.Series(NUMBERS, dtype="category"),
        pd.Series(NUMBERS, dtype="double[pyarrow]"),
        pd.Series([1, 2, pd.NA], index=[5, 5, 0]),
        pd.Index(NUMBERS),
        pd.array(NUMBERS),
        pl.Series(NUMBERS),
        pl.Series(NUMBERS, dtype=pl.Float32),
        pl.Series([1, 2, None], dtype=pl.Decimal(10, 2)),
        pa.array(NUMBERS),
        pa.chunked_array([[1], [2, None]]),
    ],
    ids=lambda column: f"{type(column).__module__}.{type(column).__name__}",
)
def test_numbers_of_any_library_are_sent_as_they_are(column: Any) -> None:
    assert sent(column) == NUMBERS


@pytest.mark.parametrize(
    "column",
    [
        ["a", b"b", pd.NA],
        np.array(TEXTS, object),
        pd.Series(TEXTS),
        pd.Series(TEXTS, dtype=object),
        pd.Series(TEXTS, dtype="string"),
        pd.Series(TEXTS, dtype="category"),
        pd.Series(TEXTS, dtype=pd.ArrowDtype(pa.string())),
        pl.Series(TEXTS),
        pl.Series(TEXTS, dtype=pl.Categorical),
        pl.Series(TEXTS, dtype=pl.Enum(["b", "a"])),
        pa.array(TEXTS),
        pa.array(TEXTS).dictionary_encode(),
        pa.array([b"a", b"b", None]),
    ],
    ids=lambda column: f"{type(column).__module__}.{type(column).__name__}",
)
def test_text_of_any_library_is_sent_as_it_is(column: Any) -> None:
    assert sent(column) == TEXTS


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (np.array([0.1, 1 / 3], np.float32), [0.1, 0.33333334]),
        (np.array(["a", "1"]), ["a", "1"]),
        (np.array([b"a", b"1"]), ["a", "1"]),
        (np.array([True, False]), [True, False]),
        (np.array([1 << 63, 0], np.uint64), [1 << 63, 0]),
        (pl.Series([(1 << 64) - 1]), [(1 << 64) - 1]),
        (array("d", [1.5]), [1.5]),
        (range(3), [0, 1, 2]),
        ([Decimal((1 << 64) - 1)], [(1 << 64) - 1]),  # a float would be another number
        ([9007199254740993.0], [9007199254740992.0]),
        ([[1], ("a",)], [[1], ["a"]]),  # whether a list is a value is for the server to say
        (np.int64(7), 7),
        (np.array(7), 7),
        (np.str_("a"), "a"),
        (np.bool_(True), True),
        (pd.NA, None),
        (Decimal("0.1"), 0.1),
        (b"a", "a"),
        (b"", ""),
        ([], []),
        (np.zeros(0), []),
    ],
)
def test_values_keep_what_they_are(column: Any, expected: Any) -> None:
    found = sent(column)
    assert found == expected
    if isinstance(expected, list):
        assert [*map(type, found)] == [*map(type, expected)]


@settings(deadline=None)  # other work on the machine may delay everything
@given(
    arrays.arrays(
        st.one_of(
            arrays.integer_dtypes(),
            arrays.unsigned_integer_dtypes(),
            arrays.floating_dtypes(),
            arrays.boolean_dtypes(),
        ),
        arrays.array_shapes(min_dims=2, max_dims=2),
        elements={"allow_infinity": False},
    ),
    st.sampled_from(["C", "F"]),
    st.sampled_from([slice(None), slice(None, None, -1), slice(None, None, 2)]),
)
def test_any_column_of_any_matrix_is_sent_whole(matrix: Any, order: Any, step: slice) -> None:
    column = matrix.copy(order=order)[step, 0]
    found = np.array(sent(column), matrix.dtype if matrix.dtype.kind != "f" else float).astype(matrix.dtype)
    np.testing.assert_array_equal(found, column)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (float("inf"), "inf is not a finite float32 number"),
        (float("-inf"), "-inf is not a finite float32 number"),
        (np.float64("inf"), "np.float64(inf) is not a finite float32 number"),
        (np.float16("-inf"), "np.float16(-inf) is not a finite float32 number"),
        (Decimal("inf"), "Decimal('Infinity') is not a finite float32 number"),
        (Decimal("1e999999"), "Decimal('1E+999999') is not a finite float32 number"),
        (Decimal("snan"), "Decimal('sNaN') is not a finite float32 number"),
        (1 << 64, "18446744073709551616 is not in the range -2^63 to 2^64 - 1"),
        (-(1 << 63) - 1, "-9223372036854775809 is not in the range -2^63 to 2^64 - 1"),
        (1 << 9_999, "an integer of 10000 bits is not in the range -2^63 to 2^64 - 1"),
        ("\ud800", "'\\ud800' is not valid Unicode text"),
        (b"\xff", "b'\\xff' is not valid UTF-8"),
        (datetime.date(2026, 1, 2), "datetime.date(2026, 1, 2) is neither a number nor text"),
        (pd.Timestamp("2026-01-02"), "Timestamp('2026-01-02 00:00:00') is neither a number nor text"),
        (pd.Timedelta(1), "Timedelta('0 days 00:00:00.000000001') is neither a number nor text"),
        (pd.Interval(0, 1), "Interval(0, 1, closed='right') is neither a number nor text"),
        (np.datetime64("2026-01-02", "ns"), "np.datetime64('2026-01-02T00:00:00.00000... is neither a number nor text"),
        (np.timedelta64(1, "ns"), "np.timedelta64(1,'ns') is neither a number nor text"),
        (1j, "1j is neither a number nor text"),
        ({1}, "{1} is neither a number nor text"),
        ({1: 2}, "an object is neither a number nor text"),
        (float, "<class 'float'> is neither a number nor text"),
    ],
)
def test_what_has_no_form_is_refused_by_feature_and_row(value: Any, reason: str) -> None:
    for column, place in (([None, value], " (index 1)"), (pd.Series([None, value], dtype=object), " (index 1)")):
        with pytest.raises(ThimbleError) as caught:
            features_json({"good": [1, 2], "x": column})
        assert caught.value.status == 400
        assert caught.value.message == f"x: {reason}{place}"
    with pytest.raises(ThimbleError) as caught:
        features_json({"good": 1, "x": value})
    assert caught.value.message == f"x: {reason}"


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (np.array([0, np.inf], np.float32), "inf is not a finite float32 number (index 1)"),
        (np.array([0, "2026-01-02"], "M8[ns]"), "np.datetime64("),
        (pd.Series(pd.to_datetime(["2026-01-02"])), "Timestamp("),
        (pl.Series([datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)]), "datetime.datetime("),
        (pa.array([datetime.date(2026, 1, 2)]), "datetime.date("),
        (np.array([1j]), "1j is neither"),
        ([[1, [float]]], "a list is neither a number nor text (index 0)"),
    ],
)
def test_columns_of_what_has_no_form_are_refused(column: Any, reason: str) -> None:
    with pytest.raises(ThimbleError) as caught:
        features_json({"x": column})
    assert caught.value.message.startswith(f"x: {reason}")


def test_a_list_that_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ThimbleError, match=r"x: a list is neither a number nor text \(index 0\)"):
        features_json({"x": endless})


@pytest.mark.parametrize(
    ("features", "reason"),
    [
        ({0: [1]}, "a feature has the name 0, which is no text"),
        ({None: [1]}, "a feature has the name None, which is no text"),
        ({"\ud800": [1]}, "a feature has the name '\\ud800', which is no text"),
        (pd.DataFrame([[1, 2]], columns=["x", "x"]), "'x' is the name of two columns"),
        (pd.DataFrame([[1, 2]]), "a feature has the name 0, which is no text"),
        (pa.table([[1], [2]], ["x", "x"]), "'x' is the name of two columns"),
        ([1, 2], "features are a mapping of names to values or a data frame, not list"),
        (None, "features are a mapping of names to values or a data frame, not NoneType"),
        (pl.LazyFrame({"x": [1]}), "features are a mapping of names to values or a data frame, not LazyFrame"),
    ],
)
def test_what_has_no_features_is_refused(features: Any, reason: str) -> None:
    with pytest.raises(ThimbleError) as caught:
        features_json(features)
    assert caught.value.message == reason
