"""Requests that come before the answers to those before them."""

import gzip
import json
from collections.abc import Callable

import numpy as np
import pytest

from tests.service.http.hostile.wire import Answer, Rows, Wire, chunked, post
from thimble.models.spec import ModelSpec
from thimble.service.engine.engine import golden_batch
from thimble.service.http.connection import PIPELINED


def test_pipelined_requests_are_answered_in_order_each_with_its_own(wire: Wire, rows: Rows, criteo: ModelSpec) -> None:
    assert criteo.golden is not None
    batch = golden_batch(criteo, criteo.golden)
    wanted: list[tuple[bytes, Callable[[Answer], bool]]] = []
    for i, (body, score) in enumerate(rows):
        tensors = batch.dense[i].tobytes() + batch.ids[i].tobytes()

        def has_score(answer: Answer, score: float = score) -> bool:
            return answer.scores == pytest.approx([score], abs=1e-6)

        def has_binary(answer: Answer, score: float = score) -> bool:
            return bool(np.isclose(np.frombuffer(answer.body[-4:], "<f4"), score, atol=1e-6))

        wanted += [
            (post(body), has_score),
            (infer(tensors, 1), has_binary),
            (chunked(body), has_score),
            (post(b"{"), lambda answer: "invalid JSON" in answer.error),
            (post(body, path=b"/v1/models/other/score"), lambda answer: answer.status == 404),
            (b"GET /v1/score HTTP/1.1\r\nHost: x\r\n\r\n", lambda answer: answer.status == 405),
            (post(gzip.compress(body), b"Content-Encoding: gzip"), has_score),
            (b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", lambda answer: b"alive" in answer.body),
            (post(body[:-1] + b" " * 70_000 + b"}"), has_score),
        ]
    wire.send(b"".join(request for request, _ in wanted))
    for request, right in wanted:
        assert right(wire.answer()), request[:200]


def infer(tensors: bytes, rows: int) -> bytes:
    """A binary request for Criteo's features, answered in binary."""
    sizes = {"dense": rows * 13 * 4, "ids": rows * 26 * 8}
    header = json.dumps(
        {
            "inputs": [
                {"name": name, "datatype": datatype, "shape": [rows, width], "parameters": {"binary_data_size": size}}
                for (name, size), datatype, width in zip(sizes.items(), ("FP32", "INT64"), (13, 26), strict=True)
            ],
            "parameters": {"binary_data_output": True},
        }
    ).encode()
    length = b"Inference-Header-Content-Length: %d" % len(header)
    return post(header + tensors, length, path=b"/v2/models/criteo/infer")


@pytest.mark.parametrize(
    "bad",
    [
        b"garbage\r\n\r\n",
        post(b"{}", b"Content-Length: 3"),
        b"POST /v1/score HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /v1/score HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\n",
        b"POST /v1/score HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 100_000,
        b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
@pytest.mark.parametrize("before", [1, 3])
def test_what_is_broken_is_answered_after_the_good_before_it(wire: Wire, rows: Rows, before: int, bad: bytes) -> None:
    wire.send(b"".join(post(body) for body, _ in rows[:before]) + bad + post(rows[-1][0]))
    for _, score in rows[:before]:
        assert wire.answer().scores == pytest.approx([score], abs=1e-6)
    answer = wire.answer()
    assert answer.status in (400, 431, 501) and answer.error
    assert not wire.rest()


def test_headers_behind_a_large_body_are_not_counted_with_it(wire: Wire, rows: Rows) -> None:
    body, score = rows[0]
    large = post(body[:-1] + b" " * 150_000 + b"}")
    wire.send(large + post(body)[:30])
    assert wire.answer().scores == pytest.approx([score], abs=1e-6)
    wire.send(post(body)[30:])
    assert wire.answer().scores == pytest.approx([score], abs=1e-6)


def test_slow_headers_behind_a_request_are_refused_after_it(wire: Wire, rows: Rows) -> None:
    body, score = rows[0]
    wire.send(post(body) + b"GET /")
    assert wire.answer().scores == pytest.approx([score], abs=1e-6)
    assert wire.answer().error == "the headers did not arrive within 1 s"
    assert not wire.rest()


def test_headers_that_the_server_does_not_read_yet_are_not_late(wire: Wire) -> None:
    slow = post(json.dumps({"features": {f"C{i}": ["68fd1e64"] * 1000 for i in range(1, 27)}}).encode())
    count = 0
    wire.send(slow * 5 + slow[:30])
    while count < 5:
        assert len(wire.answer().scores) == 1000
        count += 1
    wire.send(slow[30:])
    assert len(wire.answer().scores) == 1000


def test_more_requests_than_may_wait_are_refused_after_those_that_may(wire: Wire) -> None:
    wire.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 5000)
    assert {wire.answer().status for _ in range(PIPELINED + 1)} == {200}
    answer = wire.answer()
    assert answer.status == 400 and answer.error == f"{PIPELINED} requests wait on this connection already"
    assert b"HTTP/1.1" not in wire.rest()
