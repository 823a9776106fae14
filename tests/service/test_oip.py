import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.features import ids_from_text
from models.hashing import ID_LIMIT
from service.errors import RequestError
from service.oip import Inference, InferenceReader, answer
from service.wire import RowReader
from tests.samples import random_batch, small_spec

SPEC = small_spec(kinds=("string", "int", "hex"))
READER = InferenceReader(SPEC, RowReader(SPEC, 10))
SINGLE = small_spec(dense=1, kinds=("int",))
SINGLE_READER = InferenceReader(SINGLE, RowReader(SINGLE, 10))
DENSE = {"name": "dense", "datatype": "FP32", "shape": [2, 3], "data": [1, 2.5, 3, 4, 5, 6]}
IDS = {"name": "ids", "datatype": "INT64", "shape": [2, 3], "data": [7, 8, 9, 10, 11, 12]}
TEXT = {"name": "ids", "datatype": "BYTES", "shape": [1, 3]}
TOKENS = ["Größe", "17", "fF"]


def request(*inputs: Any, **rest: Any) -> bytes:
    return json.dumps({"inputs": inputs, **rest}).encode()


def read(content: bytes, header_length: int | None = None) -> Inference:
    return READER.read(content, header_length)


def binary(*tensors: tuple[dict[str, Any], bytes | None], **rest: Any) -> tuple[bytes, int]:
    """A body with the bytes of tensors behind it, None where one has its data inside, and the length of the JSON."""
    inputs = [
        entry if content is None else {**without_data(entry), "parameters": {"binary_data_size": len(content)}}
        for entry, content in tensors
    ]
    header = request(*inputs, **rest)
    return header + b"".join(content or b"" for _, content in tensors), len(header)


def without_data(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "data"}


def sized(entry: dict[str, Any], size: Any) -> dict[str, Any]:
    return {**without_data(entry), "parameters": {"binary_data_size": size}}


def strings(*texts: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def floats(*values: float) -> bytes:
    return np.array(values, "<f4").tobytes()


def integers(*values: int) -> bytes:
    return np.array(values, "<i8").tobytes()


def assert_read(inference: Inference) -> None:
    assert inference.batch.dense.dtype == np.float32 and inference.batch.ids.dtype == np.int64
    np.testing.assert_array_equal(inference.batch.dense, [[1, 2.5, 3], [4, 5, 6]])
    np.testing.assert_array_equal(inference.batch.ids, [[7, 8, 9], [10, 11, 12]])


def refusal(content: bytes, header_length: int | None = None, reader: InferenceReader = READER) -> tuple[int, str]:
    with pytest.raises(RequestError) as caught:
        reader.read(content, header_length)
    message = caught.value.message
    assert "\n" not in message and 0 < len(message) < 200
    return caught.value.status, message


# What is right


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
        (b"[NaN" + b"[" * 100_000, "invalid JSON"),
        (b'{"a": NaN, "b": ' + b'{"c": ' * 100_000, "invalid JSON"),
        ('{"inputs": [NaN]}'.encode("utf-16"), "invalid JSON"),
        (b"NaN", "invalid JSON"),
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


def test_an_answer_in_json() -> None:
    content, length = answer("model", 3, read(request(DENSE, IDS)), np.array([0.1, 1e-30], np.float32))
    assert length is None
    output = {"name": "score", "datatype": "FP32", "shape": [2], "data": [0.1, 1e-30]}
    assert json.loads(content) == {"model_name": "model", "model_version": "3", "outputs": [output]}


def test_an_answer_in_binary() -> None:
    scores = np.array([0.1, 1e-30, 1], np.float32)
    inference = read(request(DENSE, IDS, id="x", parameters={"binary_data_output": True}))
    content, length = answer("model", 3, inference, scores)
    assert length is not None
    output = {"name": "score", "datatype": "FP32", "shape": [3], "parameters": {"binary_data_size": 12}}
    assert json.loads(content[:length]) == {
        "model_name": "model",
        "model_version": "3",
        "id": "x",
        "outputs": [output],
    }
    np.testing.assert_array_equal(np.frombuffer(content[length:], "<f4"), scores)


# What is wrong

BAD_NAMES: list[Any] = [None, 1, True, 1.5, "", "Dense", "dense ", "score", ["dense"], {"dense": 1}, [], "x" * 100_000]
BAD_SHAPES: list[Any] = [
    *(None, 2, True, "2x3", {}, [], [2], [6], [2, 3, 1], [1, 2, 3], [[2, 3]], [2, [3]], [2, "3"], [2, None], [2, 3.0]),
    *(["2", 3], [2.0, 3], [True, 3], [None, 3], [{}, 3], [1e30, 3], [2**70, 3], [-(2**70), 3], [2, 4], [3, 2]),
    *([2, -3], [2, 2**70], [1] * 100_000, [[1] * 100_000] * 2, "x" * 100_000, ["x" * 100_000] * 2),
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
        ([1] * 100_000, "data has 100000 values, but shape [2, 3] has 6"),
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
        ([1, 2, 3, 4, 5, False], "False is not"),
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
        (b'{"inputs": ' + b"[" * 100_000, "invalid JSON"),
        (b'{"inputs": ' + b"[" * 900 + b"]" * 900 + b"}", "input None"),
        (b'{"inputs": [' + b'{"name":' * 900 + b"1" + b"}" * 900 + b"]}", "input an object"),
        (b'{"a":' * 100_000, "invalid JSON"),
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
        (strings(b"\xff\xfe", b"1", b"f"), "its data is not valid UTF-8"),
        (strings(b"\xed\xa0\x80", b"1", b"f"), "its data is not valid UTF-8"),
        (strings(b"a", b"1", b"xyz"), "f2: 'xyz' is not a hexadecimal token (row 0)"),
        (strings(b"a", b"-1", b"f"), "f1: '-1' is not an integer"),
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


# Anything at all

KEYS = st.sampled_from(
    [
        *("name", "datatype", "shape", "data", "parameters", "inputs", "outputs", "id", "timeout", "binary_data_size"),
        *("binary_data", "binary_data_output", "classification", "sequence_id", "shared_memory_region"),
    ]
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, 1, 2, 3, 24, 48, -1, 10**9, 2**63, 2**70])
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["dense", "ids", "score", "FP32", "INT64", "BYTES"])
)
ANYTHING = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=6) | st.dictionaries(KEYS | st.text(max_size=3), inner, max_size=5)
)


def changed(entry: dict[str, Any], *keys: str) -> st.SearchStrategy[dict[str, Any]]:
    """As it should be, or with anything in one place."""
    return st.one_of(
        st.just(entry),
        st.builds(lambda key, value: {**entry, key: value}, st.sampled_from(keys), ANYTHING),
    )


NUMBERS = st.lists(st.integers(-3, 2**61) | st.floats(allow_nan=False) | st.none(), min_size=6, max_size=6)
TENSORS = st.sampled_from([DENSE, IDS, {**IDS, "datatype": "BYTES"}, sized(DENSE, 24), sized(IDS, 48)]).flatmap(
    lambda entry: changed(entry, *entry) | NUMBERS.map(lambda data: {**entry, "data": data})
)
REQUESTS = st.tuples(changed(DENSE, *DENSE) | TENSORS, changed(IDS, *IDS) | TENSORS).flatmap(
    lambda inputs: changed({"inputs": list(inputs)}, "inputs", "outputs", "parameters", "id")
)


def judge(content: bytes, header_length: int | None) -> None:
    try:
        inference = read(content, header_length)
    except RequestError as error:
        assert error.status in (400, 413)
        assert "\n" not in error.message and 0 < len(error.message) < 200
        return
    dense, ids = inference.batch
    assert dense.shape == ids.shape and dense.shape[1] == 3 and 1 <= len(dense) <= 10
    assert not np.isinf(dense).any() and ids.min() >= 0 and ids.max() < ID_LIMIT
    answer("model", 1, inference, np.zeros(len(dense), np.float32))


TAILS = st.binary(max_size=120) | st.sampled_from([bytes(24), bytes(48), bytes(72)])
LENGTHS = st.none() | st.integers(0, 500)


def judge_all(content: Any, tail: bytes, header_length: int | None) -> None:
    header = json.dumps(content).encode()
    judge(header + tail, len(header))
    judge(header, None)
    judge(header + tail, header_length)


@given(REQUESTS, TAILS, LENGTHS)
def test_whatever_request_comes_is_read_or_refused(content: Any, tail: bytes, header_length: int | None) -> None:
    judge_all(content, tail, header_length)


@given(ANYTHING, TAILS, LENGTHS)
def test_whatever_json_comes_is_refused(content: Any, tail: bytes, header_length: int | None) -> None:
    judge_all(content, tail, header_length)


@given(st.binary(max_size=300), st.none() | st.integers(0, 400))
def test_whatever_bytes_come_are_refused(content: bytes, header_length: int | None) -> None:
    judge(content, header_length)


@given(st.integers(1, 3), st.binary(max_size=80))
def test_whatever_bytes_texts_are_made_of_are_read_or_refused(rows: int, content: bytes) -> None:
    dense = {**DENSE, "shape": [rows, 3], "data": [1] * 3 * rows}
    judge(*binary((dense, None), ({**TEXT, "shape": [rows, 3]}, content)))


@given(st.integers(1, 10), st.integers(0, 2**32), st.booleans(), st.booleans())
def test_what_is_sent_is_what_is_read(rows: int, seed: int, binary_dense: bool, binary_ids: bool) -> None:
    batch = random_batch(SPEC, rows, seed)
    dense = {**DENSE, "shape": [rows, 3], "data": [None if np.isnan(x) else float(x) for x in batch.dense.ravel()]}
    ids = {**IDS, "shape": [rows, 3], "data": batch.ids.ravel().tolist()}
    content = binary(
        (dense, batch.dense.tobytes() if binary_dense else None), (ids, batch.ids.tobytes() if binary_ids else None)
    )
    found = read(*content).batch
    np.testing.assert_array_equal(found.dense, batch.dense)
    np.testing.assert_array_equal(found.ids, batch.ids)


@given(
    st.lists(
        st.tuples(st.text(max_size=8), st.integers(0, ID_LIMIT - 1), st.integers(0, ID_LIMIT - 1)),
        min_size=1,
        max_size=10,
    )
)
def test_texts_that_are_sent_are_what_is_read(rows: list[tuple[str, int, int]]) -> None:
    texts = [
        token for text, number, token in ((a, str(b), f"{c:x}") for a, b, c in rows) for token in (text, number, token)
    ]
    dense = {**DENSE, "shape": [len(rows), 3], "data": [None] * 3 * len(rows)}
    entry = {**TEXT, "shape": [len(rows), 3]}
    by_binary = read(*binary((dense, None), (entry, strings(*(text.encode() for text in texts))))).batch.ids
    by_json = read(request(dense, {**entry, "data": texts})).batch.ids
    np.testing.assert_array_equal(by_binary, by_json)
    np.testing.assert_array_equal(by_binary[:, 0], ids_from_text("f0", "string", [text for text, _, _ in rows]))
    np.testing.assert_array_equal(by_binary[:, 1:], [row[1:] for row in rows])


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=50))
def test_scores_arrive_as_they_are(values: list[float]) -> None:
    scores = np.array(values, np.float32)
    plain, _ = answer("model", 1, read(request(DENSE, IDS)), scores)
    packed, length = answer("model", 1, read(request(DENSE, IDS, parameters={"binary_data_output": True})), scores)
    np.testing.assert_array_equal(np.array(json.loads(plain)["outputs"][0]["data"], np.float32), scores)
    np.testing.assert_array_equal(np.frombuffer(packed[length:], "<f4"), scores)
