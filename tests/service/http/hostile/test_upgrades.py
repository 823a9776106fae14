"""Clients that would rather speak something else."""

import json

import pytest

from tests.service.http.hostile.wire import Rows, Wire, post
from thimble.service.http.connection import PIPELINED

WEBSOCKET = (
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
HTTP2 = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA")


@pytest.mark.parametrize("upgrade", [WEBSOCKET, HTTP2, (*HTTP2, b"Upgrade: x", b"upgrade: y")])
def test_an_upgrade_is_declined_and_the_request_answered_whole(wire: Wire, rows: Rows, upgrade: tuple[bytes]) -> None:
    (first, one), (second, two) = rows[:2]
    wire.send(post(first, *upgrade) + post(second, *upgrade))
    assert wire.answer().scores == pytest.approx([one], abs=1e-6)
    assert wire.answer().scores == pytest.approx([two], abs=1e-6)
    request = post(second, *upgrade)
    wire.send(request[: -len(second)])
    wire.send(second)
    assert wire.answer().scores == pytest.approx([two], abs=1e-6)
    wire.send(b"\r\n".join([b"GET /v1/score HTTP/1.1", b"Host: x", *upgrade, b"", b""]))
    answer = wire.answer()
    assert answer.status == 405 and answer.error == "GET is not allowed at /v1/score, only POST"


def test_the_body_of_an_upgrade_is_no_request(wire: Wire) -> None:
    smuggled = b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n"
    request = post(smuggled, *HTTP2)
    wire.send(request[: -len(smuggled)])
    wire.send(smuggled)
    assert "invalid JSON" in wire.answer().error
    wire.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert json.loads(wire.answer().body) == {"status": "alive"}


def test_many_upgrades_at_once_are_all_declined(wire: Wire) -> None:
    request = b"\r\n".join([b"GET /healthz HTTP/1.1", b"Host: x", *WEBSOCKET, b"", b""])
    wire.send(request * (PIPELINED + 1))
    assert {wire.answer().status for _ in range(PIPELINED + 1)} == {200}


@pytest.mark.parametrize(
    ("target", "headers", "culprit"),
    [
        (b"http://x", (b"Host: x",), "its target is not a path"),
        (b"/healthz", (), "one Host header, this one has none"),
        (b"/healthz", (b"Host: x", b"Host: y"), "one Host header, this one has 2"),
    ],
)
def test_what_is_wrong_beside_the_upgrade_is_refused_as_without_it(
    wire: Wire, target: bytes, headers: tuple[bytes, ...], culprit: str
) -> None:
    wire.send(b"\r\n".join([b"GET " + target + b" HTTP/1.1", *headers, *HTTP2, b"", b""]))
    answer = wire.answer()
    assert answer.status == 400 and culprit in answer.error and answer.headers["connection"] == "close"
    assert not wire.rest()


def test_more_upgrades_than_may_wait_are_refused_after_those_that_may(wire: Wire) -> None:
    request = b"\r\n".join([b"GET /healthz HTTP/1.1", b"Host: x", *HTTP2, b"", b""])
    wire.send(request * (PIPELINED + 2))
    assert {wire.answer().status for _ in range(PIPELINED + 1)} == {200}
    answer = wire.answer()
    assert answer.status == 400 and answer.error == f"{PIPELINED} requests wait on this connection already"
    assert not wire.rest()
