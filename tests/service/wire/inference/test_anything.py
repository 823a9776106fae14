"""Whatever comes is read right or refused."""

import json
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from testing.samples import random_batch
from tests.service.wire.inference.messages import DENSE, IDS, SPEC, TEXT, binary, read, request, sized, strings
from thimble.models.features import ids_from_text
from thimble.models.hashing import ID_LIMIT
from thimble.service.errors import RequestError
from thimble.service.wire.inference import answer

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
