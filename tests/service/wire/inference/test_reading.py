"""Good requests."""

import json
from typing import Any

import numpy as np
import pytest

from tests.service.wire.inference.messages import (
    DENSE,
    IDS,
    TEXT,
    TOKENS,
    binary,
    floats,
    integers,
    read,
    refusal,
    request,
    strings,
)
from thimble.models.features import ids_from_text
from thimble.models.hashing import ID_LIMIT
from thimble.service.wire.inference import Inference, answer


def assert_read(inference: Inference) -> None:
    assert inference.batch.dense.dtype == np.float32 and inference.batch.ids.dtype == np.int64
    np.testing.assert_array_equal(inference.batch.dense, [[1, 2.5, 3], [4, 5, 6]])
    np.testing.assert_array_equal(inference.batch.ids, [[7, 8, 9], [10, 11, 12]])


def test_flat_and_nested_data_are_the_same() -> None:
    nested = {**DENSE, "data": [[1, 2.5, 3], [4, 5, 6]]}, {**IDS, "data": [[7, 8, 9], [10, 11, 12]]}
    assert_read(read(request(DENSE, IDS)))
    assert_read(read(request(*nested)))


def test_inputs_come_in_any_order() -> None:
    assert_read(read(request(IDS, DENSE)))
    assert_read(read(*binary((IDS, integers(7, 8, 9, 10, 11, 12)), (DENSE, floats(1, 2.5, 3, 4, 5, 6)))))


def test_binary_tensors_lie_behind_the_json_one_after_the_other() -> None:
    assert_read(read(*binary((DENSE, floats(1, 2.5, 3, 4, 5, 6)), (IDS, integers(7, 8, 9, 10, 11, 12)))))


@pytest.mark.parametrize("place", [0, 1])
def test_one_tensor_may_be_binary_and_the_other_not(place: int) -> None:
    contents = [floats(1, 2.5, 3, 4, 5, 6), integers(7, 8, 9, 10, 11, 12)]
    tensors = [(entry, contents[i] if i == place else None) for i, entry in enumerate((DENSE, IDS))]
    assert_read(read(*binary(*tensors)))


def test_binary_tensors_need_no_alignment() -> None:
    for spaces in range(8):
        tensors = (DENSE, floats(1, 2.5, 3, 4, 5, 6)), (IDS, integers(7, 8, 9, 10, 11, 12))
        assert_read(read(*binary(*tensors, id=" " * spaces)))


def test_bytes_are_the_raw_values_whichever_way_they_come() -> None:
    dense = {**DENSE, "shape": [1, 3], "data": [1, 2, 3]}
    wanted = [[ids_from_text("f0", "string", ["Größe"])[0], 17, 255]]
    packed = strings(*(token.encode() for token in TOKENS))
    for content in (
        (request(dense, {**TEXT, "data": TOKENS}), None),
        (request(dense, {**TEXT, "data": [TOKENS]}), None),
        binary((dense, None), (TEXT, packed)),
        binary((TEXT, packed), (dense, floats(1, 2, 3))),
    ):
        np.testing.assert_array_equal(read(*content).batch.ids, wanted)


def test_what_is_missing_is_nan_or_zero() -> None:
    dense = {**DENSE, "data": [None] * 6}
    by_json = read(request(dense, {**IDS, "data": [None, 0, None, 0, 0, None]})).batch
    by_binary = read(*binary((DENSE, floats(*[np.nan] * 6)), (IDS, integers(*[0] * 6)))).batch
    by_bytes = read(request({**dense, "shape": [1, 3], "data": [None] * 3}, {**TEXT, "data": ["", " ", ""]})).batch
    for batch in (by_json, by_binary, by_bytes):
        assert np.isnan(batch.dense).all() and not batch.ids.any()


def test_nan_in_json_is_missing_though_it_is_no_json() -> None:
    dense, ids = {**DENSE, "data": [np.nan] * 6}, {**IDS, "data": [7, 8, 9, 10, 11, np.nan]}
    inference = read(request(dense, ids, id="NaN"))
    assert np.isnan(inference.batch.dense).all() and inference.id == "NaN"
    assert inference.batch.ids.tolist() == [[7, 8, 9], [10, 11, 0]]


@pytest.mark.parametrize(
    ("content", "culprit"),
    [
        (b'{"inputs": [NaN]', "invalid JSON"),
        (b'{"inputs": [NaN, Infinity]}', "invalid JSON"),
        (b'{"inputs": [NaN, -Infinity]}', "invalid JSON"),
        (b'{"inputs": [NaN], "id": "\\ud800"}', "invalid JSON"),
        (b'{"inputs": [NaN], "id": "\xff"}', "invalid JSON"),
        (b'{"inputs": [NaN, ' + b"1" * 5000 + b"]}", "invalid JSON"),
        (b"[NaN" + b"[" * 10_000, "invalid JSON"),
        (b'{"a": NaN, "b": ' + b'{"c": ' * 5000, "invalid JSON"),
        ('{"inputs": [NaN]}'.encode("utf-16"), "invalid JSON"),
        (b"NaN", "the request is None, not an object"),
        (b'{"inputs": [-NaN]}', "invalid JSON"),
        (b'{"inputs": [NaNN]}', "invalid JSON"),
        (b'{"inputs": [NaNaN]}', "invalid JSON"),
        (b'{"inputs": [1NaN]}', "invalid JSON"),
        (b'{"inputs": [nan]}', "invalid JSON"),
        (b'{"inputs": [], "id": "\\NaN"}', "invalid JSON"),
        (b'{"inputs": NaN}', "a list of tensors is missing"),
        (request({**DENSE, "shape": [np.nan, 3]}, IDS), "shape [None, 3] is not [rows, 3]"),
        (request({**DENSE, "shape": [10**400, 3]}, IDS, x=np.nan), "invalid JSON"),
        (
            request(DENSE, {**IDS, "data": [2**70, 0, 0, 0, 0, np.nan]}),
            f"ids: f0 in row 0: id {2**70} is not in the range",
        ),
        (request(DENSE, IDS, parameters={"timeout": 2**70}, x=np.nan), "timeout: 1.18"),
    ],
)
def test_what_comes_with_nan_is_judged_as_all_else(content: bytes, culprit: str) -> None:
    status, message = refusal(content)
    assert status == 400 and culprit in message


def test_the_largest_and_the_smallest_values_fit() -> None:
    largest = float(np.finfo(np.float32).max)
    dense, ids = [largest, -largest, 1e-45, -0.0, 0, 1], [ID_LIMIT - 1, 0, 1, ID_LIMIT - 1, 2, 3]
    for content in (
        (request({**DENSE, "data": dense}, {**IDS, "data": ids}), None),
        binary((DENSE, floats(*dense)), (IDS, integers(*ids))),
    ):
        batch = read(*content).batch
        np.testing.assert_array_equal(batch.dense.ravel(), np.array(dense, np.float32))
        np.testing.assert_array_equal(batch.ids.ravel(), ids)


@pytest.mark.parametrize(
    ("rest", "binary_wanted"),
    [
        ({}, False),
        ({"outputs": None}, False),
        ({"outputs": []}, False),
        ({"outputs": [{"name": "score"}]}, False),
        ({"outputs": [{"name": "score", "parameters": {}}]}, False),
        ({"outputs": [{"name": "score", "parameters": {"classification": 0}}]}, False),
        ({"outputs": [{"name": "score", "parameters": {"binary_data": True}}]}, True),
        ({"outputs": [{"name": "score", "parameters": {"binary_data": False}}]}, False),
        ({"parameters": {"binary_data_output": True}}, True),
        ({"parameters": {"binary_data_output": True}, "outputs": []}, True),
        ({"parameters": {"binary_data_output": True}, "outputs": [{"name": "score"}]}, True),
        (
            {
                "parameters": {"binary_data_output": True},
                "outputs": [{"name": "score", "parameters": {"binary_data": False}}],
            },
            False,
        ),
    ],
)
def test_scores_are_binary_where_that_is_wanted(rest: dict[str, Any], binary_wanted: bool) -> None:
    assert read(request(DENSE, IDS, **rest)).binary is binary_wanted


@pytest.mark.parametrize(
    ("microseconds", "seconds"), [(None, None), (0, None), (1, 1e-6), (250_000, 0.25), ((1 << 63) - 1, 2**63 / 1e6)]
)
def test_a_timeout_is_in_microseconds(microseconds: int | None, seconds: float | None) -> None:
    assert read(request(DENSE, IDS, parameters={"timeout": microseconds})).timeout == seconds


def test_what_is_not_asked_for_is_left_out() -> None:
    inference = read(request(DENSE, IDS))
    assert (inference.id, inference.timeout, inference.binary) == (None, None, False)


def test_parameters_that_ask_for_nothing_are_passed_over() -> None:
    parameters = {"priority": 3, "sequence_id": 0, "sequence_start": False, "anything": [1]}
    assert_read(read(request(DENSE, IDS, parameters=parameters, anything={"else": 1})))
    assert_read(read(request({**DENSE, "parameters": None}, {**IDS, "parameters": {"x": 1}}, parameters=None)))


@pytest.mark.parametrize("name", ["", "42", 'quotes " and \\ and \u0000 and \u2028', "é" * 1000])
def test_an_id_comes_back_as_it_was(name: str) -> None:
    inference = read(request(DENSE, IDS, id=name))
    content, _ = answer("model", 3, inference, np.array([0.5], np.float32))
    assert inference.id == name and json.loads(content)["id"] == name
