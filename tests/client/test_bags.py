"""Bags of several values in the columns of any library: a list in a row, or one for all rows."""

import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import numpy as np
import orjson
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from thimble.client.columns import features_json
from thimble.client.errors import ThimbleError

BAGS = [["a", "b"], [], None, ["c"]]
IDS = [[1, 2], [3], []]


def sent(column: Any) -> Any:
    return orjson.loads(features_json({"x": column})[0])["features"]["x"]


@pytest.mark.parametrize(
    "column",
    [
        BAGS,
        tuple(BAGS),
        [("a", "b"), (), None, ("c",)],
        [np.array(["a", "b"]), np.array([], "U1"), None, np.array(["c"], object)],
        [pl.Series(["a", "b"]), pl.Series([], dtype=pl.String), None, pd.Series(["c"])],
        pd.Series(BAGS),
        pd.Series(BAGS, dtype=pd.ArrowDtype(pa.list_(pa.string()))),
        pl.Series(BAGS),
        pa.array(BAGS),
        pa.chunked_array([BAGS[:1], BAGS[1:]], pa.large_list(pa.string())),
    ],
)
def test_lists_of_any_library_are_sent_as_they_are(column: Any) -> None:
    body, rows = features_json({"x": column})
    assert orjson.loads(body) == {"features": {"x": BAGS}} and rows == len(BAGS)


@pytest.mark.parametrize(
    "column",
    [
        [np.array(bag, np.uint8) for bag in IDS],
        [[np.int32(i) for i in bag] for bag in IDS],
        [[Decimal(i) for i in bag] for bag in IDS],
        pd.Series([np.array(bag) for bag in IDS]),
        pl.Series(IDS, dtype=pl.List(pl.Int16)),
        pa.array(IDS, pa.list_(pa.uint64())),
    ],
)
def test_integers_in_bags_stay_integers(column: Any) -> None:
    found = sent(column)
    assert found == IDS and all(type(value) is int for bag in found for value in bag)


@pytest.mark.parametrize(
    "padded", [np.array([[1, 2], [3, 0]]), pl.Series([[1, 2], [3, 0]], dtype=pl.Array(pl.Int64, 2))]
)
def test_rows_of_a_matrix_are_bags(padded: Any) -> None:
    assert sent(padded) == [[1, 2], [3, 0]]


@pytest.mark.parametrize(
    "values",
    [["a", "b"], ("a", "b"), np.array(["a", "b"]), pd.Series(["a", "b"]), pl.Series(["a", "b"]), pa.array(["a", "b"])],
)
def test_one_bag_is_shared_by_all_rows(values: Any) -> None:
    for mapping in ({"bag": values}, MappingProxyType({"bag": values})):
        body, rows = features_json({"x": mapping, "y": [1, 2, 3]})
        assert orjson.loads(body)["features"]["x"] == {"bag": ["a", "b"]} and rows == 3
    assert features_json({"x": {"bag": values}})[1] == 1


@pytest.mark.parametrize(
    ("bag", "reason"),
    [
        (["a", float("inf")], "inf is not a finite float32 number"),
        (np.array([1.0, -np.inf]), "-inf is not a finite float32 number"),
        (["a", "\ud800"], "'\\ud800' is not valid Unicode text"),
        ([1, 1 << 64], "18446744073709551616 is not in the range -2^63 to 2^64 - 1"),
        ([datetime.date(2026, 1, 2)], "datetime.date(2026, 1, 2) is neither a number nor text"),
        (np.array(["2026-01-02"], "M8[D]"), "np.datetime64('2026-01-02') is neither a number nor text"),
        ([{1, 2}], "{1, 2} is neither a number nor text"),
    ],
)
def test_a_value_that_has_no_form_is_refused_inside_a_bag(bag: Any, reason: str) -> None:
    with pytest.raises(ThimbleError) as caught:
        features_json({"good": [None, 1], "x": [["a"], bag]})
    assert (caught.value.status, caught.value.message) == (400, f"x: {reason} (index 1)")
    with pytest.raises(ThimbleError) as caught:
        features_json({"good": 1, "x": {"bag": bag}})
    assert caught.value.message == f"x: {reason}"


@pytest.mark.parametrize("value", [{1, 2}, {"bag": {1, 2}}])
def test_a_set_is_no_bag_because_it_has_no_order(value: Any) -> None:
    with pytest.raises(ThimbleError, match=r"^400: x: .* is neither a number nor text"):
        features_json({"x": value})


def test_nothing_is_said_of_what_the_server_can_refuse() -> None:
    weighted = {"bag": ["a"], "weights": [0.5]}
    assert sent(weighted) == weighted and sent([[["a"]]]) == [[["a"]]] and sent({"bag": None}) == {"bag": None}
