import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testing.samples import small_spec
from thimble.models.conversions import shown
from thimble.models.features import (
    FeatureError,
    batch_from_text,
    batch_from_values,
    dense_from_text,
    dense_from_values,
    encode_column,
    ids_from_ids,
    ids_from_text,
    ids_from_values,
)
from thimble.models.inputs import Kind, ValueKind

LARGEST = (1 << 60) - 1
XXH3_ABC = 0x78AF5F94892F3950  # of the three bytes "abc", from xxHash's own tests

FLOAT32_MAX = float(np.finfo(np.float32).max)  # 3.4028235e38 in its shortest decimal, which is a little more


@pytest.mark.parametrize(
    ("token", "number"),
    [
        ("3", 3.0),
        ("-1", -1.0),
        ("+1.5", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("0", 0.0),
        ("3.4028235e38", FLOAT32_MAX),
        ("-3.4028235e38", -FLOAT32_MAX),
        ("", math.nan),
        ("  ", math.nan),
        ("\t", math.nan),
        (" 1", 1.0),
        ("2.5 ", 2.5),
        ("True", 1.0),
        ("false", 0.0),
        ("nan", math.nan),
        ("NaN", math.nan),
        ("NULL", math.nan),
        ("NA", math.nan),
        ("<NA>", math.nan),
        ("None", math.nan),
        ("\\N", math.nan),
    ],
)
def test_numbers_from_text(token: str, number: float) -> None:
    column = dense_from_text("I1", ["7", token])
    assert column.dtype == np.float32
    assert np.array_equal(column, np.array([7, number], np.float32), equal_nan=True)


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "1_000",
        "inf",
        "-inf",
        "3.4028236e38",
        "1e39",
        "1e999",
        "0x1f",
        "1,5",
        "--1",
        "1e",
        "٣",
        "\ud800",
        "9" * 5000,
    ],
)
def test_text_that_is_no_number(token: str) -> None:
    refused(lambda: dense_from_text("I1", ["7", "", token, "8"]), "I1", 2)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (3, 3.0),
        (-2.5, -2.5),
        (True, 1.0),
        (False, 0.0),
        (3.4028235e38, FLOAT32_MAX),
        (None, math.nan),
        ("", math.nan),
        (" ", math.nan),
        (math.nan, math.nan),
    ],
)
def test_numbers_from_values(value: Any, number: float) -> None:
    column = dense_from_values("I1", [7, value])
    assert np.array_equal(column, np.array([7, number], np.float32), equal_nan=True)


@pytest.mark.parametrize(
    "value",
    ["3", [1], {}, 3.4028236e38, 1e39, -1e39, math.inf, -math.inf, 10**40, 10**400, 10**5000, -(10**5000), b"3"],
    ids=shown,
)
def test_values_that_are_no_number(value: Any) -> None:
    refused(lambda: dense_from_values("I1", [7, None, value, 8]), "I1", 2)


@pytest.mark.parametrize(
    ("kind", "token", "expected"),
    [
        ("int", "0", 0),
        ("int", "007", 7),
        ("int", str(LARGEST), LARGEST),
        ("int", "", 0),
        ("int", " \t", 0),
        ("int", " 7", 7),
        ("int", "+7", 7),
        ("int", "7.0", 7),
        ("int", "7.", 7),
        ("int", "1e3", 1000),
        ("int", "NaN", 0),
        ("int", "\\N", 0),
        ("hex", " 1f ", 31),
        ("hex", "\\N", 0),
        ("hex", "NULL", 0),
        ("hex", "68fd1e64", 0x68FD1E64),
        ("hex", "68FD1E64", 0x68FD1E64),
        ("hex", "f" * 15, LARGEST),
        ("hex", "0", 0),
        ("hex", "", 0),
        ("hex", " ", 0),
        ("string", "abc", XXH3_ABC >> 4),
        ("string", "", 0),
        ("string", " \u2003", 0),
    ],
)
def test_ids_from_text_and_from_strings(kind: Kind, token: str, expected: int) -> None:
    column = ids_from_text("C1", kind, ["5", token])
    assert column.dtype == np.int64
    assert int(column[1]) == expected
    if kind != "int":
        assert int(ids_from_values("C1", kind, ["5", token])[1]) == expected


@pytest.mark.parametrize(
    ("kind", "token"),
    [
        ("int", "1_000"),
        ("int", "0x1f"),
        ("int", "٣"),
        ("int", "²"),
        ("int", "9" * 5000),
        ("int", "\ud800"),
        ("hex", "0x1f"),
        ("hex", "1_000"),
        ("hex", "-1"),
        ("hex", "٣"),
        ("hex", "xyz"),
        ("hex", "f" * 16),
        ("hex", "0" * 100_000),
        ("hex", "\udcff"),
        ("string", "\ud800"),
        ("string", "a\udcff"),
    ],
)
def test_text_that_is_no_id(kind: Kind, token: str) -> None:
    refused(lambda: ids_from_text("C1", kind, ["5", "", token, "5"]), "C1", 2)
    if kind != "int":
        refused(lambda: ids_from_values("C1", kind, ["5", None, token, "5"]), "C1", 2)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("int", 3, 3),
        ("int", 3.0, 3),
        ("int", LARGEST, LARGEST),
        ("int", None, 0),
        ("int", "", 0),
        ("int", " ", 0),
        ("int", "3", 3),
        ("int", str(LARGEST), LARGEST),
        ("int", 9007199254740991.0, (1 << 53) - 1),
        ("hex", None, 0),
        ("string", None, 0),
    ],
)
def test_ids_from_values(kind: Kind, value: Any, expected: int) -> None:
    assert ids_from_values("C1", kind, [value]).tolist() == [expected]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("int", -(1 << 63) - 1),
        ("int", 1 << 64),
        ("int", float(1 << 53)),
        ("int", -float(1 << 53)),
        ("int", "9007199254740993.0"),
        ("int", 10**5000),
        ("int", 3.5),
        ("int", float(1 << 60)),
        ("int", math.nan),
        ("int", math.inf),
        ("int", True),
        ("int", "3.5"),
        ("int", "True"),
        ("int", [3]),
        ("hex", 3),
        ("hex", 3.0),
        ("hex", True),
        ("hex", b"1f"),
        ("string", 3),
        ("string", False),
        ("string", ["a"]),
        ("string", math.nan),
    ],
    ids=shown,
)
def test_values_that_are_no_id(kind: Kind, value: Any) -> None:
    good: Any = 5 if kind == "int" else "5"
    refused(lambda: ids_from_values("C1", kind, [good, None, value, good]), "C1", 2)


def refused(encode: Any, feature: str, row: int) -> None:
    with pytest.raises(FeatureError) as caught:
        encode()
    assert caught.value.feature == feature
    assert caught.value.row == row
    assert str(caught.value) == f"{feature}: {caught.value.reason}"
    assert len(str(caught.value)) < 130
    str(caught.value).encode()  # can be printed and sent


@given(tokens=st.lists(st.text("0123456789abcdefABCDEF", min_size=8, max_size=8) | st.sampled_from(["", "1f", " "])))
def test_eight_digits_at_a_time_or_one_by_one_are_the_same_ids(tokens: list[str]) -> None:
    assert ids_from_text("C1", "hex", tokens).tolist() == [int(token.strip() or "0", 16) for token in tokens]


@pytest.mark.parametrize("token", ["12 34 56", "12\t34\t56", "0x123456", "+1234567", "1234567٣", "12345_67"])
def test_eight_characters_are_not_eight_digits(token: str) -> None:
    refused(lambda: ids_from_text("C1", "hex", ["68fd1e64", token, "68fd1e64"]), "C1", 1)


def test_the_error_shows_the_bad_value() -> None:
    with pytest.raises(FeatureError, match=r"^C2: 'zz' is not a hexadecimal token$"):
        ids_from_text("C2", "hex", ["1f", "", "zz"])
    with pytest.raises(FeatureError, match=r"^I3: 'many' is not a finite number$"):
        dense_from_text("I3", ["many"])
    with pytest.raises(FeatureError, match=r"^C1: id 18446744073709551616 is not in the range -2\^63 to 2\^64 - 1$"):
        ids_from_values("C1", "int", [9, 1 << 64])
    with pytest.raises(
        FeatureError, match=r"^C1: 9007199254740992.0 is a float, which from 2\^53 on stands for several"
    ):
        ids_from_values("C1", "int", [9, 9007199254740993.0])
    with pytest.raises(FeatureError, match=r"^C1: 3.5 is not an integer$"):
        ids_from_values("C1", "int", [9, 3.5])


def test_the_first_of_several_bad_values_is_named() -> None:
    with pytest.raises(FeatureError, match="'x'") as caught:
        ids_from_text("C1", "int", ["1", "x", "y"])
    assert caught.value.row == 1


@pytest.mark.parametrize(
    "value", ["a" * 1_000_000, "\ud800" * 100, 10**5000, -(10**5000), [1] * 1000, b"x" * 1000], ids=shown
)
def test_shown_values_are_short(value: object) -> None:
    assert len(shown(value)) < 50
    shown(value).encode()


def test_strings_are_hashed_as_they_are() -> None:
    ids = ids_from_text("s", "string", ["abc", "Abc", "abc ", "é", "e\u0301", "x" * 1_000_000]).tolist()
    assert len(set(ids)) == 6
    assert all(0 < value <= LARGEST for value in ids)


WIDE = [-1, -(1 << 63), 1 << 60, (1 << 63) - 1, (1 << 64) - 1]


@pytest.mark.parametrize("value", WIDE)
def test_any_64_bit_integer_is_an_id_and_one_beyond_60_bits_is_hashed_as_its_digits(value: int) -> None:
    (hashed,) = ids_from_text("s", "string", [str(value)])
    assert 0 < hashed <= LARGEST
    for ids in (ids_from_values("C1", "int", [5, value, None]), ids_from_values("C1", "int", [5, str(value), ""])):
        assert ids.tolist() == [5, hashed, 0]
    assert ids_from_text("C1", "int", ["5", str(value), "\\N"]).tolist() == [5, hashed, 0]


@pytest.mark.parametrize("value", [-1, 1 << 60, "7", True, 0.5])
def test_ids_that_are_given_as_ids_are_not_hashed_but_refused(value: Any) -> None:
    assert ids_from_ids("C1", [7, None, 3.0, LARGEST]).tolist() == [7, 0, 3, LARGEST]
    refused(lambda: ids_from_ids("C1", [7, None, value]), "C1", 2)


def test_words_for_a_missing_value_are_text_in_a_field_of_text_but_for_one() -> None:
    namibia, null, missing = ids_from_text("s", "string", ["NA", "null", "\\N"]).tolist()
    assert namibia and null and not missing


def test_empty_columns() -> None:
    assert dense_from_text("I1", []).shape == dense_from_values("I1", []).shape == (0,)
    for kind in ("int", "hex", "string"):
        assert ids_from_text("C1", kind, []).shape == ids_from_values("C1", kind, []).shape == (0,)


def test_batches_from_text_and_from_values_are_alike() -> None:
    spec = small_spec(dense=2, kinds=("int", "hex", "string"))
    text = batch_from_text(spec, [["1", ""], ["2.5", "-3"], ["7", ""], ["1F", " "], ["abc", ""]])
    values = batch_from_values(spec, [[1, None], [2.5, -3], [7, None], ["1f", None], ["abc", ""]])
    for batch in (text, values):
        assert np.array_equal(batch.dense, np.array([[1, 2.5], [math.nan, -3]], np.float32), equal_nan=True)
        assert batch.dense.dtype == np.float32
        assert batch.ids.tolist() == [[7, 31, XXH3_ABC >> 4], [0, 0, 0]]
        assert batch.ids.dtype == np.int64


def test_batches_name_the_culprit() -> None:
    spec = small_spec(dense=1, kinds=("int", "hex"))
    with pytest.raises(FeatureError) as caught:
        batch_from_text(spec, [["1", "2"], ["3", "4"], ["5", "g"]])
    assert (caught.value.feature, caught.value.row) == ("f1", 1)


TOKENS = st.sampled_from(
    ["", " ", "7", "-1", "1f", "0a1b2c3d", "12 34 56", "x", "inf", "1e39", "\udcff", "9" * 30, "é"]
)
VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [None, "", " ", "ff", "x", "\udcff", 0, 7, -1, 1 << 60, 1 << 2000, 2.5, 3.0, math.inf, True, []]
)


@pytest.mark.parametrize("kind", ["number", "int", "hex", "string"])
@given(data=st.data())
def test_good_rows_of_a_column_with_bad_ones_are_as_they_are_alone(kind: ValueKind, data: st.DataObject) -> None:
    typed = data.draw(st.booleans())
    values: list[Any] = data.draw(st.lists(VALUES if typed else TOKENS, max_size=60))
    encoded, bad = encode_column(kind, values, typed=typed)
    assert len(encoded) == len(values)
    good = [row for row in range(len(values)) if row not in bad]
    assert list(bad) == sorted(bad)

    def alone(rows: list[int]) -> Any:
        some = [values[row] for row in rows]
        if kind == "number":
            return (dense_from_values if typed else dense_from_text)("f", some)
        return (ids_from_values if typed else ids_from_text)("f", kind, some)

    expected = alone(good)
    assert encoded.dtype == expected.dtype
    assert np.array_equal(encoded[good], expected, equal_nan=True)
    for row, reason in bad.items():
        with pytest.raises(FeatureError) as refused:
            alone([row])
        assert refused.value.reason == reason
