"""Requests that are refused, each for its own reason."""

import json
import struct
from typing import Any

import numpy as np
import pytest

from tests.service.wire.inference.messages import (
    DENSE,
    IDS,
    SINGLE_READER,
    TEXT,
    binary,
    floats,
    integers,
    refusal,
    request,
    sized,
    strings,
    without_data,
)
from thimble.models.hashing import ID_LIMIT

BAD_NAMES: list[Any] = [None, 1, True, 1.5, "", "Dense", "dense ", "score", ["dense"], {"dense": 1}, [], "x" * 100_000]
BAD_SHAPES: list[Any] = [
    *(None, 2, True, "2x3", {}, [], [2], [6], [2, 3, 1], [1, 2, 3], [[2, 3]], [2, [3]], [2, "3"], [2, None], [2, 3.0]),
    *(["2", 3], [2.0, 3], [True, 3], [None, 3], [{}, 3], [1e30, 3], [2**70, 3], [-(2**70), 3], [2, 4], [3, 2]),
    *([2, -3], [2, 2**70], [1] * 1000, [[1] * 1000] * 2, "x" * 100_000, ["x" * 100_000] * 2),
]
BAD_ROWS = [
    (0, 400),
    (-1, 400),
    (-(2**63), 400),
    (11, 413),
    (10**9, 413),
    (2**31, 413),
    (2**63 - 1, 413),
    (2**64 - 1, 413),
]
BAD_DATATYPES: list[Any] = [
    None,
    "",
    "FP16",
    "FP64",
    "INT32",
    "UINT64",
    "BOOL",
    "fp32",
    "x" * 100_000,
    1,
    [],
    ["FP32"],
    {},
]
BAD_SIZES: list[Any] = [-1, 23, 25, 0, 10**9, 2**63, 2**70, -(2**70), 24.0, "24", True, [], {}, [24], "x" * 100_000]
NO_OBJECTS: list[Any] = [1, True, "x", [], [1], 1.5, "x" * 100_000]


@pytest.mark.parametrize("entry", [None, *NO_OBJECTS])
def test_inputs_are_objects(entry: Any) -> None:
    status, message = refusal(request(entry, IDS))
    assert status == 400 and "is none of the model's: dense and ids" in message


@pytest.mark.parametrize("inputs", [None, 1, "inputs", {}, {"dense": DENSE}, True])
def test_inputs_are_a_list(inputs: Any) -> None:
    assert refusal(json.dumps({"inputs": inputs}).encode()) == (400, "inputs: a list of tensors is missing")


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_are_those_of_the_model(name: Any) -> None:
    status, message = refusal(request({**DENSE, "name": name}, IDS))
    assert status == 400 and message.startswith("input ") and "is none of the model's: dense and ids" in message
    status, message = refusal(request(DENSE, IDS, outputs=[{"name": name if name != "score" else "ids"}]))
    assert status == 400 and message.startswith("output ") and "is none of the model's: score" in message


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "input dense is missing"),
        ([IDS], "input dense is missing"),
        ([DENSE], "input ids is missing"),
        ([DENSE, DENSE], "input dense is there twice"),
        ([DENSE, IDS, IDS], "input ids is there twice"),
        ([DENSE, IDS, {**IDS, "name": "more"}], "input 'more' is none of the model's: dense and ids"),
        ([{**DENSE, "shape": [1, 3], "data": [1, 2, 3]}, IDS], "dense has 1 rows, ids has 2"),
    ],
)
def test_each_input_is_there_once(inputs: list[Any], message: str) -> None:
    assert refusal(request(*inputs)) == (400, message)


@pytest.mark.parametrize("name", ["dense", "ids"])
@pytest.mark.parametrize("shape", BAD_SHAPES)
def test_shapes_are_rows_and_the_width(name: str, shape: Any) -> None:
    inputs = [{**entry, "shape": shape} if entry["name"] == name else entry for entry in (DENSE, IDS)]
    status, message = refusal(request(*inputs))
    assert status == 400 and message.startswith(f"{name}: shape ") and message.endswith(" is not [rows, 3]")


@pytest.mark.parametrize("shape", [[1, True], [True, 1], [1.0, 1]])
def test_true_is_not_one(shape: Any) -> None:
    dense = {"name": "dense", "datatype": "FP32", "shape": shape, "data": [1]}
    ids = {"name": "ids", "datatype": "INT64", "shape": [1, 1], "data": [1]}
    status, message = refusal(request(dense, ids), reader=SINGLE_READER)
    assert status == 400 and message.endswith("is not [rows, 1]")
    status, message = refusal(request({**dense, "shape": [1, 1]}, {**ids, "data": [True]}), reader=SINGLE_READER)
    assert status == 400 and "True is not an integer" in message


@pytest.mark.parametrize(("rows", "status"), BAD_ROWS)
@pytest.mark.parametrize("size", [None, 0, 24])
def test_rows_are_bounded_before_anything_is_made_of_them(rows: int, status: int, size: int | None) -> None:
    entry = {**DENSE, "shape": [rows, 3]}
    content = request(sized(entry, size) if size is not None else entry, IDS)
    found, message = refusal(content + bytes(size or 0), len(content))
    assert found == status and f"{rows} rows" in message


@pytest.mark.parametrize("datatype", BAD_DATATYPES)
def test_datatypes_are_those_of_the_model(datatype: Any) -> None:
    status, message = refusal(request({**DENSE, "datatype": datatype}, IDS))
    assert status == 400 and message.startswith("dense: datatype ") and message.endswith(" is not FP32")
    status, message = refusal(request(DENSE, {**IDS, "datatype": datatype}))
    assert status == 400 and message.startswith("ids: datatype ") and message.endswith(" is not INT64 or BYTES")


@pytest.mark.parametrize("key", ["datatype", "shape", "data"])
def test_nothing_may_be_left_out(key: str) -> None:
    status, message = refusal(request({k: v for k, v in DENSE.items() if k != key}, IDS))
    assert status == 400 and key in message


@pytest.mark.parametrize(
    ("data", "culprit"),
    [
        (None, "data is missing"),
        (1, "data is missing"),
        ("abc", "data is missing"),
        ({"0": 1}, "data is missing"),
        ([], "data has 0 values, but shape [2, 3] has 6"),
        ([1] * 5, "data has 5 values, but shape [2, 3] has 6"),
        ([1] * 7, "data has 7 values, but shape [2, 3] has 6"),
        ([1] * 1000, "data has 1000 values, but shape [2, 3] has 6"),
        ([[1, 2, 3]], "data is not nested as its shape [2, 3] says"),
        ([[1, 2], [3, 4], [5, 6]], "data is not nested as its shape [2, 3] says"),
        ([[1, 2, 3], [4, 5]], "data is not nested as its shape [2, 3] says"),
        ([[1, 2, 3, 4], [5, 6]], "data is not nested as its shape [2, 3] says"),
        ([[1, 2, 3, 4, 5, 6]], "data is not nested as its shape [2, 3] says"),
        ([[], []], "data is not nested as its shape [2, 3] says"),
        ([[[1, 2, 3], [4, 5, 6]]], "data is not nested as its shape [2, 3] says"),
        ([[1, 2, 3], 4, 5, 6], "data has 4 values, but shape [2, 3] has 6"),
        ([1, 2, 3, [4, 5, 6]], "data has 4 values, but shape [2, 3] has 6"),
        ([1, 2, 3, 4, 5, [6]], "a list is not"),
        ([[1, 2, 3], [4, 5, [6]]], "a list is not"),
        ([[1, 2, 3], [4, 5, {}]], "an object is not"),
        ([1, 2, 3, 4, 5, "6"], "'6' is not"),
        ([1, 2, 3, 4, 5, "x" * 100_000], "'xxx"),
    ],
)
def test_data_are_as_their_shape_says(data: Any, culprit: str) -> None:
    for inputs in ([{**DENSE, "data": data}, IDS], [DENSE, {**IDS, "data": data}]):
        status, message = refusal(request(*inputs))
        assert status == 400 and culprit in message


@pytest.mark.parametrize(
    ("content", "culprit"),
    [
        (b'{"inputs": ' + b"[" * 10_000, "invalid JSON"),
        (b'{"inputs": ' + b"[" * 900 + b"]" * 900 + b"}", "input None"),
        (b'{"inputs": [' + b'{"name":' * 900 + b"1" + b"}" * 900 + b"]}", "input an object"),
        (b'{"a":' * 5000, "invalid JSON"),
        (b'{"inputs": [], "parameters": ' + b"[" * 900 + b"]" * 900 + b"}", "a list is not an object"),
        (b'{"inputs": [], "id": ' + b"[" * 900 + b"]" * 900 + b"}", "id: a list is not a string"),
    ],
)
def test_deep_nesting_is_refused(content: bytes, culprit: str) -> None:
    status, message = refusal(content)
    assert status == 400 and culprit in message


def test_deep_data_and_deep_shapes_are_refused() -> None:
    deep: list[Any] = []
    for _ in range(900):
        deep = [deep]
    assert refusal(request({**DENSE, "data": deep}, IDS))[0] == 400
    assert refusal(request({**DENSE, "data": [deep] * 6}, IDS))[0] == 400
    assert refusal(request({**DENSE, "shape": deep}, IDS))[0] == 400
    assert refusal(request({**DENSE, "shape": [deep, deep]}, IDS))[0] == 400


@pytest.mark.parametrize(
    ("content", "culprit"),
    [
        (b"", "the body is empty"),
        (b" \r\n\t", "the body is empty"),
        (b"{", "invalid JSON"),
        (b"\xff\xfe", "invalid JSON"),
        (b'{"id": "\xff"}', "invalid JSON"),
        (b'{"id": "\\ud800", "inputs": []}', "invalid JSON"),
        (b'{"inputs": [Infinity]}', "invalid JSON"),
        (b'{"inputs": []} {}', "invalid JSON"),
        (b'{"inputs": []}\x00', "invalid JSON"),
        (b"x" * 100_000, "invalid JSON"),
        (b"null", "the request is None, not an object with inputs"),
        (b"[]", "the request is a list, not an object with inputs"),
        (b'"inputs"', "the request is 'inputs', not an object with inputs"),
        (b"1" * 100, "not an object with inputs"),
        (b"{}", "inputs: a list of tensors is missing"),
    ],
)
def test_what_is_no_request_is_refused(content: bytes, culprit: str) -> None:
    status, message = refusal(content)
    assert status == 400 and culprit in message


@pytest.mark.parametrize(
    ("length", "culprit"),
    [
        (0, "Inference-Header-Content-Length is 0, but the JSON comes first"),
        (1, "invalid JSON"),
        (10**6, "Inference-Header-Content-Length is 1000000, but the body has"),
        (10**18, "Inference-Header-Content-Length is 1000000000000000000, but the body has"),
    ],
)
def test_header_lengths_that_lie_are_refused(length: int, culprit: str) -> None:
    content, right = binary((DENSE, floats(*range(6))), (IDS, integers(*range(6))))
    status, message = refusal(content, length)
    assert status == 400 and culprit in message
    for near in (right - 1, right + 1):
        assert "invalid JSON" in refusal(content, near)[1]


def test_a_header_length_of_all_leaves_no_bytes_for_the_tensors() -> None:
    header = request(sized(DENSE, 24), IDS)
    assert refusal(header, len(header)) == (400, "dense: binary_data_size 24, but 0 bytes of the body are left")
    assert refusal(header) == (400, "dense: binary_data_size 24, but 0 bytes of the body are left")


@pytest.mark.parametrize("size", BAD_SIZES)
def test_sizes_have_to_add_up(size: Any) -> None:
    header = request(sized(DENSE, size), IDS)
    status, message = refusal(header + bytes(24), len(header))
    assert status == 400 and message.startswith("dense: binary_data_size ")


def test_bytes_that_no_tensor_has_are_refused() -> None:
    content, length = binary((DENSE, floats(*range(6))), (IDS, None))
    assert refusal(content + b"abc", length) == (400, "3 bytes of the body belong to no tensor")
    content = request(DENSE, IDS)
    assert refusal(content + b"abc", len(content)) == (400, "3 bytes of the body belong to no tensor")


def test_tensors_that_share_too_few_bytes_are_refused() -> None:
    content, length = binary((DENSE, floats(*range(6))), (IDS, integers(*range(6))))
    assert refusal(content[:-1], length) == (400, "ids: binary_data_size 48, but 47 bytes of the body are left")


def test_data_come_once() -> None:
    both = {**DENSE, "parameters": {"binary_data_size": 24}}
    header = request(both, IDS)
    assert refusal(header + bytes(24), len(header)) == (400, "dense: both data and binary_data_size are given")


@pytest.mark.parametrize("parameters", NO_OBJECTS)
def test_parameters_are_objects(parameters: Any) -> None:
    for content, owner in (
        (request(DENSE, IDS, parameters=parameters), "the request"),
        (request({**DENSE, "parameters": parameters}, IDS), "dense"),
        (request(DENSE, IDS, outputs=[{"name": "score", "parameters": parameters}]), "score"),
    ):
        status, message = refusal(content)
        assert status == 400 and message.startswith(f"parameters of {owner}: ")


@pytest.mark.parametrize(
    ("rest", "culprit"),
    [
        ({"id": 5}, "id: 5 is not a string"),
        ({"id": ["x"]}, "id: a list is not a string"),
        ({"parameters": {"timeout": -1}}, "timeout: -1 is not"),
        ({"parameters": {"timeout": 1.5}}, "timeout: 1.5 is not"),
        ({"parameters": {"timeout": True}}, "timeout: True is not"),
        ({"parameters": {"timeout": "1000"}}, "timeout: '1000' is not"),
        ({"parameters": {"timeout": 1 << 63}}, "timeout: 9223372036854775808 is not"),
        ({"parameters": {"timeout": 1 << 70}}, "timeout: 1.18"),
        ({"parameters": {"timeout": [1]}}, "timeout: a list is not"),
        ({"parameters": {"sequence_id": 1}}, "sequence_id: this server keeps no sequences"),
        ({"parameters": {"sequence_id": "a"}}, "sequence_id: this server keeps no sequences"),
        ({"parameters": {"binary_data_output": 1}}, "binary_data_output: 1 is not true or false"),
        ({"parameters": {"binary_data_output": None}}, "binary_data_output: None is not true or false"),
        ({"outputs": {}}, "outputs must be a list of one: score"),
        ({"outputs": "score"}, "outputs must be a list of one: score"),
        ({"outputs": [None]}, "outputs must be a list of one: score"),
        ({"outputs": ["score"]}, "outputs must be a list of one: score"),
        ({"outputs": [{"name": "score"}] * 2}, "outputs must be a list of one: score"),
        ({"outputs": [{}]}, "output None is none of the model's: score"),
        ({"outputs": [{"name": "score", "parameters": {"classification": 3}}]}, "classification is not supported"),
        (
            {"outputs": [{"name": "score", "parameters": {"shared_memory_region": "x"}}]},
            "score: shared_memory_region is not supported",
        ),
        ({"outputs": [{"name": "score", "parameters": {"binary_data": 1}}]}, "binary_data 1 is not true or false"),
    ],
)
def test_what_is_asked_for_wrongly_is_refused(rest: dict[str, Any], culprit: str) -> None:
    status, message = refusal(request(DENSE, IDS, **rest))
    assert status == 400 and culprit in message


def test_shared_memory_is_refused() -> None:
    entry = {**without_data(DENSE), "parameters": {"shared_memory_region": "x", "shared_memory_byte_size": 24}}
    assert refusal(request(entry, IDS)) == (400, "dense: shared memory is not supported")


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinity_is_refused_by_name_and_row(value: float) -> None:
    content = binary((DENSE, floats(1, np.nan, 3, 4, value, 6)), (IDS, None))
    assert refusal(*content) == (400, "dense: d1 is infinite in row 1")


@pytest.mark.parametrize("value", ["1e39", "-1e39", "1" + "0" * 300, "1e308"])
def test_numbers_beyond_float32_are_refused_by_name_and_row(value: str) -> None:
    content = request({**DENSE, "data": [1, 2, 3, 4, 123456, 6]}, IDS).replace(b"123456", value.encode())
    status, message = refusal(content)
    assert status == 400 and message.startswith("dense: d1 in row 1: ") and "not a finite float32 number" in message


@pytest.mark.parametrize("value", [-1, ID_LIMIT, -(2**63), 2**63 - 1])
def test_ids_out_of_range_are_refused_by_name_and_row(value: int) -> None:
    content = binary((DENSE, None), (IDS, integers(1, 2, 3, 4, 5, value)))
    assert refusal(*content) == (400, f"ids: f2 is {value} in row 1, not in 0 to 2^60 - 1")
    status, message = refusal(request(DENSE, {**IDS, "data": [1, 2, 3, 4, 5, value]}))
    assert status == 400 and message.startswith("ids: f2 in row 1: ") and str(value) in message


@pytest.mark.parametrize("value", ["1", 1.5, True, 1e300, 2**70, [], {}])
def test_ids_that_are_no_integers_are_refused_by_name_and_row(value: Any) -> None:
    status, message = refusal(request(DENSE, {**IDS, "data": [1, 2, 3, 4, 5, value]}))
    assert status == 400 and message.startswith("ids: f2 in row 1: ")


ONE = {**DENSE, "shape": [1, 3], "data": [1, 2, 3]}
LENGTH = struct.pack("<I", 100)


@pytest.mark.parametrize(
    ("content", "culprit"),
    [
        (b"", "its 0 bytes are not the 3 elements"),
        (b"\x01\x00\x00", "its 3 bytes are not the 3 elements"),
        (strings(b"a", b"1"), "its 10 bytes are not the 3 elements"),
        (strings(b"a", b"1", b"f", b"more"), "its 23 bytes are not the 3 elements"),
        (strings(b"a", b"1", b"f") + b"x", "its 16 bytes are not the 3 elements"),
        (strings(b"a", b"1", b"f")[:-1], "element 2 is longer than what is left"),
        (strings(b"a", b"1") + LENGTH + b"f", "element 2 is longer than what is left"),
        (struct.pack("<I", 2**32 - 1) + strings(b"1", b"f"), "element 0 is longer than what is left"),
        (struct.pack("<i", -1) + b"a" + strings(b"1", b"f"), "element 0 is longer than what is left"),
        (struct.pack("<I", 0) + b"abc" + strings(b"1", b"f"), "element 1 is longer than what is left"),
        (struct.pack(">I", 1) + b"a" + strings(b"1", b"f"), "element 0 is longer than what is left"),
        (strings(b"\xff\xfe", b"1", b"f"), "element 0 is not valid UTF-8"),
        (strings(b"\xed\xa0\x80", b"1", b"f"), "element 0 is not valid UTF-8"),
        (strings(b"a", b"1", b"xyz"), "f2: 'xyz' is not a hexadecimal token (row 0)"),
        (strings(b"a", b"-x", b"f"), "f1: '-x' is not an integer"),
        (strings(b"a", b"1" * 100_000, b"f"), "f1: '111"),
        (strings(b"a", b"1", b"f" * 100_000), "f2: 'fff"),
    ],
)
def test_bytes_that_lie_are_refused(content: bytes, culprit: str) -> None:
    status, message = refusal(*binary((ONE, None), (TEXT, content)))
    assert status == 400 and message.startswith("ids: ") and culprit in message


@pytest.mark.parametrize("data", [["a", "1", None], ["a", 1, "f"], [["a", "1", ["f"]]], ["a", "1", {}], [1, 2, 3]])
def test_bytes_in_json_are_strings(data: Any) -> None:
    status, message = refusal(request(ONE, {**TEXT, "data": data}))
    assert (status, message) == (400, "ids: data of datatype BYTES must be strings")
