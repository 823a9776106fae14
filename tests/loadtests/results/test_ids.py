from typing import Any

import pytest

from thimble.loadtests.results.ids import ids_a_row
from thimble.loadtests.traffic.requests import Traffic

AGE, SHOP = {"name": "age", "kind": "number"}, {"name": "shop", "kind": "hex"}
TAGS = {"name": "tags", "kind": "string", "bag": {"values": 7, "pooling": "sum"}}


@pytest.mark.parametrize(
    ("features", "bags", "words"),
    [
        ([AGE, SHOP, TAGS], "full", "8 ids a row in 2 fields"),
        ([AGE, SHOP, TAGS], "any", "up to 8 ids a row in 2 fields"),
        ([AGE, SHOP], "full", None),
        ([AGE], "any", None),
        ([], "any", None),
    ],
)
def test_ids_a_row_are_said_where_they_are_not_one_a_field(features: Any, bags: Any, words: str | None) -> None:
    assert ids_a_row({"features": features}, Traffic(bags=bags)) == words


def test_of_results_that_say_nothing_of_features_nothing_is_said() -> None:
    assert ids_a_row({}, Traffic()) is None
