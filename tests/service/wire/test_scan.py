"""What is known of JSON before it is parsed."""

import json
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testing.samples import small_spec
from thimble.service.errors import RequestError
from thimble.service.wire.scan import HARMLESS_BYTES, OTHERS, JsonBounds, nan_as_null, outside_strings

SPEC = small_spec(kinds=("string", "int", "hex"))
ROWS, FEATURES = 1000, 6
BOUNDS = JsonBounds(SPEC, ROWS)
PADDING = b" " * HARMLESS_BYTES
TEXTS = st.text(st.sampled_from('\\"[]{},:NaN \n\u2028é😀'), max_size=12)
VALUES = st.recursive(
    st.none() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def refusal(text: bytes) -> str:
    with pytest.raises(RequestError) as caught:
        BOUNDS.check(text + PADDING)
    assert caught.value.status == 413
    return caught.value.message


def test_the_largest_good_request_is_let_in_whatever_its_strings_hold() -> None:
    column = [',[]{}":\\' + "\\" * (i % 4) for i in range(ROWS)]
    BOUNDS.check(json.dumps({"features": dict.fromkeys(SPEC.feature_names, column)}).encode())
    nested = [[1, 2, 3]] * ROWS
    BOUNDS.check(json.dumps({"inputs": [{"name": name, "data": nested} for name in ("dense", "ids")]}).encode())


@pytest.mark.parametrize(
    ("piece", "things", "most"),
    [
        (b"0,", "values", ROWS * FEATURES + OTHERS),
        (b"[", "lists", 2 * ROWS + FEATURES + OTHERS),
        (b"{", "objects", OTHERS),
        (b'"a":', "keys", FEATURES + OTHERS),
    ],
)
@pytest.mark.parametrize("string", [b"", b'",[{:"', b'"\\",[{:"', b'"\\\\\\",[{:\\\\"'])
def test_more_of_anything_than_a_request_has_is_refused(piece: bytes, things: str, most: int, string: bytes) -> None:
    text = string + piece * most + string
    BOUNDS.check(text + PADDING)
    message = refusal(text + piece + string)
    assert message == f"{most + 1} {things} are more than a request has with {ROWS} rows, which is the limit"


@given(VALUES)
def test_what_is_outside_of_strings_is_what_is_left_without_them(value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False).encode()
    outside = outside_strings(text)
    found = np.frombuffer(text, np.uint8)[outside]

    def count(value: Any) -> dict[str, int]:
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        own = {
            ",": max(len(parts) - 1, 0),
            "[": isinstance(value, list),
            "{": isinstance(value, dict),
            ":": len(parts) if isinstance(value, dict) else 0,
        }
        inner = [count(part) for part in parts]
        return {mark: own[mark] + sum(counts[mark] for counts in inner) for mark in own}

    assert {mark: int((found == ord(mark)).sum()) for mark in ",[{:"} == count(value)


@given(VALUES, st.lists(st.booleans(), min_size=1, max_size=8))
def test_nan_is_null_outside_of_strings_and_stays_within(value: Any, which: list[bool]) -> None:
    data = [value, *(float("nan") if chosen else 1 for chosen in which), value]
    text = json.dumps(data, ensure_ascii=False).encode()
    assert orjson.loads(nan_as_null(text)) == [value, *(None if chosen else 1 for chosen in which), value]


@pytest.mark.parametrize(
    "word", ["-NaN", "NaNN", "NaNaN", "NaNNaN", "1NaN", "NaN1", "nuNaN", "NNaN", "nan", "Na N", "NaN NaN"]
)
def test_what_has_nan_in_another_word_is_no_json(word: str) -> None:
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(nan_as_null(f"[{word}]".encode()))


@pytest.mark.parametrize("text", [b"", b"N", b"Na", b"x" * 10, b'"', b"\\", b'"\\', b"\xff"])
def test_whatever_is_no_json_is_left_to_the_parser(text: bytes) -> None:
    assert nan_as_null(text) == text
    assert len(outside_strings(text)) == len(text)
