import orjson
import pytest

from thimble.loadtests.traffic.answers import problem
from thimble.loadtests.traffic.requests import Prepared

TWO = Prepared("/", {}, b"", rows=2, binary=False, expected=None)
KNOWN = TWO._replace(expected=0.25)


@pytest.mark.parametrize(
    ("request_", "answer", "expected"),
    [
        (TWO, {"scores": [0, 1]}, None),
        (TWO, {"scores": [0.5]}, "not one score a row"),
        (TWO, {"scores": []}, "not one score a row"),
        (TWO, {"scores": [0.5, 1.01]}, "a score outside 0 to 1"),
        (TWO, {"scores": [-0.1, 1]}, "a score outside 0 to 1"),
        (TWO, {"scores": [None, 1]}, "no scores in the answer"),
        (TWO, {"error": "no"}, "no scores in the answer"),
        (TWO, ["scores"], "no scores in the answer"),
        (KNOWN, {"scores": [0.25, 0.2505]}, None),
        (KNOWN, {"scores": [0.25, 0.26]}, "another score than the known row's"),
        (KNOWN, {"scores": [0.24, 0.25]}, "another score than the known row's"),
    ],
)
def test_what_is_wrong_with_an_answer(request_: Prepared, answer: object, expected: str | None) -> None:
    assert problem(request_, orjson.dumps(answer), tolerance=0.001) == expected


@pytest.mark.parametrize("body", [b"", b"<html>", b"\x00" * 8, b"{}" + b"\x00" * 8])
def test_noise_is_no_answer(body: bytes) -> None:
    assert problem(TWO, body, 0.1) == "no scores in the answer"
    assert problem(TWO._replace(binary=True), body, 0.1) == "no scores in the answer"
