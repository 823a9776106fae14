"""Columns of bags are read all at once, and mean what `thimble.models.bag_values` says of their rows."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from testing.text_values import TEXTS, TRICKY, escaped
from thimble.export.clicks.arrow_types import misfit
from thimble.export.clicks.bag_columns import bag_lengths, encode_bags, readable_column
from thimble.export.clicks.encoding import values_of
from thimble.export.clicks.value_options import ValueOptions, value_options
from thimble.models.bags import Bag
from thimble.models.features import encode_bags as defined
from thimble.models.inputs import Feature, Kind

KINDS: list[Kind] = ["int", "hex", "string"]
BAGS = st.builds(
    Bag,
    values=st.integers(1, 4),
    pooling=st.just("sum"),
    keep=st.sampled_from(["first", "last"]),
    separator=st.sampled_from(["|", ";", ",", " ", "·"]),
)
OPTIONS = st.sampled_from([ValueOptions(), value_options(["-", "7", " Unknown"], False)])
PIECES = (
    st.sampled_from(["", " ", "7", " 007", "12 ", "a", "-", "unknown", "\xa0b\u2028", "x|y", "null", "\\N"]) | TEXTS
)
NONE = ValueOptions()


def without(words: ValueOptions, kind: Kind, values: Sequence[Any]) -> list[Any]:
    """Values of which those are blank that one of the words stands for."""
    return [value if value is None else words.text(kind, [value])[0] for value in values]


def check(array: Any, kind: Kind, bag: Bag, rows: Sequence[Any], typed: bool, options: ValueOptions = NONE) -> None:
    """That an array of Arrow's means what its rows mean, bit for bit and with the same reasons."""
    expected, reasons, cut = defined(kind, bag, rows, typed=typed)
    read = readable_column(Feature("f", kind, bag), array, options)
    ids, faults = encode_bags(read, kind, bag, typed=typed)
    assert ids.dtype == np.int64 and ids.shape == (len(rows), bag.values)
    assert ids.tolist() == expected.tolist()
    assert dict(faults) == dict(reasons)
    assert np.maximum(bag_lengths(read) - bag.values, 0).sum() == cut
    again, _, _ = defined(kind, bag, values_of(read), typed=typed)
    assert again.tolist() == expected.tolist()


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.lists(PIECES.filter(escaped), max_size=6), max_size=6),
    bag=BAGS,
    options=OPTIONS,
    start=st.integers(0, 2),
)
@example(rows=[TRICKY], bag=Bag(values=1024, pooling="sum"), options=NONE, start=0)
@example(rows=[["x", "y"], [], ["1", "z"]], bag=Bag(values=2, pooling="sum"), options=NONE, start=1)
def test_text_is_split_as_its_rows_are(
    kind: Kind, rows: list[list[str]], bag: Bag, options: ValueOptions, start: int
) -> None:
    texts = [bag.separator.join(row) for row in rows]
    raw = pa.array([text.encode("utf-8", "surrogateescape") for text in [*texts[:start], *texts]], pa.binary())
    known = [bag.separator.join(without(options, kind, text.split(bag.separator))) for text in texts]
    for array in (raw[len(texts[:start]) :], raw.dictionary_encode()[len(texts[:start]) :]):
        check(array, kind, bag, known, False, options)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(st.none() | st.lists(st.none() | PIECES.filter(escaped), max_size=6), max_size=6),
    bag=BAGS,
    options=OPTIONS,
)
def test_lists_of_text_of_every_type(kind: Kind, rows: list[Any], bag: Bag, options: ValueOptions) -> None:
    raw = [row and [it and it.encode("utf-8", "surrogateescape") for it in row] for row in rows]
    known = [row if row is None else without(options, kind, row) for row in rows]
    of = pa.binary()
    for type_ in (pa.list_(of), pa.large_list(of), pa.list_view(of), pa.list_(pa.large_binary())):
        check(pa.array([None, *raw], type_)[1:], kind, bag, known, True, options)
    lists = pa.array(raw, pa.list_(of))
    words = lists.values.dictionary_encode()
    check(pa.ListArray.from_arrays(lists.offsets, words, mask=lists.is_null()), kind, bag, known, True, options)


@pytest.mark.parametrize(
    "of", [pa.int8(), pa.int32(), pa.uint64(), pa.int64(), pa.float64(), pa.float32(), pa.decimal128(5, 0)]
)
@pytest.mark.parametrize("keep", ["first", "last"])
def test_lists_of_numbers_are_integers(of: Any, keep: Any) -> None:
    rows = [[1, None, 2, 3], None, [], [4], [5, 6]]
    bag = Bag(values=2, pooling="sum", keep=keep)
    for type_ in (pa.list_(of), pa.large_list(of), pa.large_list_view(of)):
        check(pa.array(rows, type_), "int", bag, rows, True)
    pairs = [[1, 2], None, [3, None]]
    check(pa.array([[9, 9], *pairs], pa.list_(of, 2))[1:], "int", bag, pairs, True)


def test_integers_are_tokens_and_text_too() -> None:
    bag = Bag(values=3, pooling="sum")
    for kind, written in (("hex", [["00000001", "ffffffff"], ["0000001b"]]), ("string", [["1", "-1"], ["27"]])):
        check(pa.array([[1, -1], [27]], pa.list_(pa.int32())), kind, bag, written, True)  # type: ignore[arg-type]


def test_a_float_that_is_none_is_how_data_frames_write_a_missing_value() -> None:
    bag = Bag(values=2, pooling="sum")
    check(pa.array([[math.nan, 1.0, 2.0], [math.nan]]), "int", bag, [[1, 2], []], True)
    check(pa.array([[1.5, 2.0], [math.inf]]), "int", bag, [[1.5, 2.0], [math.inf]], True)


def test_a_value_by_itself_is_a_bag_of_one() -> None:
    bag = Bag(values=2, pooling="sum")
    check(pa.array([7, None, 0]), "int", bag, [7, None, 0], True)
    check(pa.nulls(2), "string", bag, [None, None], True)
    check(pa.array(["a|b", None]).cast(pa.string_view()), "string", bag, ["a|b", None], True)


def test_of_a_large_dictionary_only_what_rows_have_is_read() -> None:
    array = pa.DictionaryArray.from_arrays(pa.array([1, None, 1], pa.int8()), pa.array(["x", "1|2", "y", "z", "w"]))
    check(array, "int", Bag(values=2, pooling="sum"), ["1|2", None, "1|2"], True)


def test_a_row_may_have_a_million_values() -> None:
    bag = Bag(values=3, pooling="sum", keep="last")
    rows = ["1", "|".join(map(str, range(1_000_000))), "|" * 1_000_000]
    read = readable_column(Feature("f", "int", bag), pa.array(rows), NONE)
    ids, faults = encode_bags(read, "int", bag, typed=False)
    assert ids.tolist() == [[1, 0, 0], [999_997, 999_998, 999_999], [0, 0, 0]] and not faults
    assert bag_lengths(read).tolist() == [1, 1_000_000, 0]


@pytest.mark.parametrize(
    ("kind", "type_", "reason"),
    [
        ("string", pa.list_(pa.list_(pa.string())), ", and a list of values a row is wanted, not lists of lists"),
        ("string", pa.map_(pa.string(), pa.float64()), ", and values have no weights"),
        ("int", pa.list_(pa.struct([("id", pa.int64())])), ", and values have no weights"),
        ("string", pa.list_(pa.float64()), ", which is not read as text"),
        ("hex", pa.list_(pa.bool_()), ", which is not read as a hexadecimal token"),
        ("int", pa.list_(pa.timestamp("s")), ", which is not read as an integer id"),
    ],
)
def test_types_of_which_no_value_is_a_bags(kind: Kind, type_: Any, reason: str) -> None:
    assert misfit(Feature("f", kind, Bag(values=2, pooling="sum")), type_, NONE) == f"its type is {type_}{reason}"


def test_lists_of_a_single_valued_feature_are_refused() -> None:
    weighted = pa.map_(pa.string(), pa.float64())
    assert misfit(Feature("f", "string"), weighted, NONE) == f"its type is {weighted}, and values have no weights"
    wanted = ", and one value a row is wanted; a model trained with --multi takes lists"
    for type_ in (pa.list_(pa.string()), pa.dictionary(pa.int8(), pa.large_list(pa.int64()))):
        assert misfit(Feature("f", "string"), type_, NONE) == f"its type is {type_}{wanted}"
