"""Clients that dawdle, leave, or take no answers."""

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from testing.servers import Server, running
from tests.service.http.hostile.wire import PATIENCE, READ_TIMEOUT, Rows, Wire, chunked, peak_bytes, post


@pytest.mark.parametrize(
    "start", [b"P", b"POST /v1/score HTTP/1.1\r\nHost: x\r\nA: ", b"GET /healthz\r\n", b"\r\nGET /"]
)
@pytest.mark.parametrize("drip", [True, False])
def test_headers_have_to_arrive_in_time(wire: Wire, start: bytes, drip: bool) -> None:
    wire.send(start)
    if drip and not start.endswith(b"\r\n"):
        wire.drip(b"A")
    answer = wire.answer()
    if answer.status == 408:
        assert answer.error == "the headers did not arrive within 1 s"
    else:  # a method of nothing but A is none
        assert answer.status == 400
    assert not wire.rest()


@pytest.mark.parametrize("head", [post(b"{", length=1000), chunked(b"{")[: -len(b"0\r\n\r\n")] + b"3e8\r\n"])
def test_a_body_has_to_arrive_in_time(wire: Wire, head: bytes) -> None:
    wire.send(head)
    wire.drip(b" ")
    answer = wire.answer()
    assert answer.status == 408 and answer.error == "the body did not arrive within 1 s"
    assert not wire.rest()


@pytest.mark.parametrize("path", [b"/v1/models/other/score", b"/healthz", b"/v2/repository/index"])
def test_a_body_that_nobody_waits_for_has_to_arrive_in_time_too(wire: Wire, path: bytes) -> None:
    wire.send(post(b"{", path=path, length=1 << 40))
    assert wire.answer().status in (200, 404, 405, 413)
    wire.drip(b" ")
    assert not wire.rest()


def test_a_connection_goes_on_after_a_body_that_nobody_waited_for(wire: Wire, rows: Rows) -> None:
    body, score = rows[0]
    for _ in range(3):
        wire.send(post(b"", path=b"/v1/models/other/score", length=100_000))
        assert wire.answer().status == 404
        wire.send(b" " * 100_000 + b"\r\n" + post(body))
        assert wire.answer().scores == pytest.approx([score], abs=1e-6)


def flood(wire: Wire, limit: int) -> int:
    """Ask for many scores and take none until the server reads no more; returns the bytes that were sent."""
    request = post(json.dumps({"features": {"I1": list(range(1000))}}).encode())
    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    wire.socket.settimeout(0.5)
    sent = 0
    try:
        while sent < limit:
            wire.send(request)
            sent += len(request)
    except (TimeoutError, BrokenPipeError, ConnectionResetError):
        pass
    return sent


def test_a_client_that_takes_no_answers_does_not_fill_the_memory(hostile: Server, wire: Wire) -> None:
    before = peak_bytes(hostile)
    assert flood(wire, 50_000_000) < 50_000_000
    assert peak_bytes(hostile) - before < 30 << 20


def test_a_client_that_takes_no_answers_does_not_hold_up_the_end(criteo_artifact: Path) -> None:
    with running(criteo_artifact, "--read-timeout-s", str(READ_TIMEOUT)) as server:
        wire = Wire(server)
        assert flood(wire, 50_000_000) < 50_000_000
        server.process.terminate()
        assert server.process.wait(PATIENCE) == 0
        wire.close()


@pytest.mark.parametrize("sent", [0, 1, 30, 60, 200, None])
def test_half_closed_connections_end(wire: Wire, rows: Rows, sent: int | None) -> None:
    body, score = rows[0]
    wire.send(post(body)[:sent])
    wire.socket.shutdown(socket.SHUT_WR)
    # a client that shuts down its side looks like one that left, so the answer may not come, but no other does
    answer = wire.rest()
    if answer:
        assert sent is None
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["scores"] == pytest.approx([score], abs=1e-6)


@pytest.mark.parametrize("leave", [Wire.close, Wire.reset])
def test_clients_that_leave_do_no_harm(connect: Callable[[], Wire], rows: Rows, leave: Callable[[Wire], None]) -> None:
    body, _ = rows[0]
    many = json.dumps({"features": {"I1": list(range(1000))}}).encode()
    for content in (b"", b"POST", post(body)[:60], post(body)[:-5], post(body), post(many), post(body) * 20):
        for wire in [connect() for _ in range(10)]:
            wire.send(content)
            leave(wire)


def test_connections_that_are_left_open_do_not_stop_others(connect: Callable[[], Wire], rows: Rows) -> None:
    body, score = rows[0]
    starts = (b"", b"\r\n", b"POST /v1/sc", post(body)[:-1], post(b"{"))
    for i in range(400):
        connect().send(starts[i % len(starts)])
    late = connect()
    late.send(post(body))
    assert late.answer().scores == pytest.approx([score], abs=1e-6)
