"""Bodies that are received at a time share a budget, and connections have a cap: both as the server is shipped."""

import resource
import select
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from testing.artifacts import write_artifact
from testing.conditions import until
from testing.samples import small_spec
from testing.servers import SCRIPTS, Server, running
from tests.service.http.hostile.wire import Wire, chunked, post

TEXT_BYTES, INFLIGHT_BYTES, CONNECTIONS = 4 << 20, 64 << 20, 1024
BODY = b'{"features": {"d0": 1}}'
LARGE = BODY[:-1] + b" " * (100_000 - len(BODY)) + b"}"
ADMIN = {"THIMBLE_ADMIN_KEYS": "an-admin-key-of-some-length"}
KEY = b"Authorization: Bearer an-admin-key-of-some-length"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    repository = tmp_path_factory.mktemp("repository")
    write_artifact(small_spec(), repository, "small", 1)
    with running(repository, env=ADMIN) as server:
        yield server


@contextmanager
def uploads(server: Server, size: int = TEXT_BYTES, count: int = INFLIGHT_BYTES // TEXT_BYTES) -> Iterator[list[Wire]]:
    """Clients who announce as much as there is room for, and send next to nothing of it."""
    with ExitStack() as stack:
        wires = [stack.enter_context(closing(Wire(server))) for _ in range(count)]
        for wire in wires:
            wire.send(post(b"{", length=size))
        yield wires


def status(server: Server, request: bytes) -> int:
    with closing(Wire(server)) as wire:
        wire.send(request)
        return wire.answer().status


def test_who_finds_no_room_is_told_at_the_headers_and_the_connection_goes_on(server: Server) -> None:
    with uploads(server), closing(Wire(server)) as wire:
        head, _, body = post(LARGE).partition(b"\r\n\r\n")
        until(lambda: status(server, post(LARGE)) == 429)
        wire.send(head + b"\r\n\r\n")
        answer = wire.answer()
        assert answer.status == 429 and answer.headers["retry-after"] == "1"
        assert answer.error == (
            f"bodies of {INFLIGHT_BYTES} bytes are being read, and with this one they would be more than the limit of "
            f"{INFLIGHT_BYTES} for all together"
        )
        wire.send(body + post(BODY))
        assert len(wire.answer().scores) == 1
        assert status(server, chunked(LARGE)) == 429  # it says no length
        assert status(server, chunked(BODY)) == 200
    until(lambda: status(server, post(LARGE)) == 200)


@pytest.mark.parametrize(
    ("size", "leave"),
    [(TEXT_BYTES, Wire.close), (TEXT_BYTES, Wire.reset), (1 << 40, Wire.close), (100_000, Wire.reset)],
)
def test_room_comes_back_when_clients_leave(server: Server, size: int, leave: object) -> None:
    assert callable(leave)
    for _ in range(3):
        with uploads(server, size) as wires:
            for wire in wires[:2]:
                wire.send(b"x" * 50_000)
            for wire in wires:
                leave(wire)
    until(lambda: _is_all_free(server))


@pytest.mark.parametrize(
    "request_",
    [
        post(b"{" * 100_000),
        post(b"x" * 100_000, b"Content-Type: text/plain"),
        post(LARGE, path=b"/v1/models/other/score"),
        post(LARGE, b"Content-Encoding: gzip"),
        post(LARGE, b"Timeout-Ms: none"),
        post(LARGE),
        post(LARGE) * 3,
        chunked(LARGE),
        post(b"[" * 1_000_000),
        post(LARGE, b"Inference-Header-Content-Length: 7", path=b"/v2/models/small/infer"),
    ],
)
def test_room_comes_back_whatever_becomes_of_a_body(server: Server, request_: bytes) -> None:
    for _ in range(10):
        with closing(Wire(server)) as wire:
            wire.send(request_)
            assert wire.answer().status in (200, 400, 404, 413, 415)
    until(lambda: _is_all_free(server))


def _is_all_free(server: Server) -> bool:
    """Whether nothing is held: as many as can be are let in, and then nobody."""
    with uploads(server) as wires:

        def refused() -> bool:
            return bool(select.select([wire.socket for wire in wires], [], [], 0)[0])

        until(lambda: refused() or status(server, post(LARGE)) == 429)
        return not refused()


def test_models_that_are_pushed_take_no_room_from_requests(server: Server) -> None:
    def push(length: int) -> bytes:
        return post(b"x", KEY, path=b"/v1/models/small/versions/2", length=length).replace(b"POST", b"PUT", 1)

    with ExitStack() as stack:
        first, second = (stack.enter_context(closing(Wire(server))) for _ in range(2))
        first.send(push(256 << 20))
        until(lambda: status(server, push(128 << 20)) == 429)
        second.send(push(128 << 20))
        answer = second.answer()
        assert answer.status == 429 and answer.headers["retry-after"] == "1"
        assert status(server, post(LARGE)) == 200
    with uploads(server):
        until(lambda: status(server, post(LARGE)) == 429)
        assert status(server, push(1 << 20).replace(b"PUT", b"GET", 1)) == 405


def test_who_sends_too_much_sees_why_and_the_connection_goes_on(server: Server) -> None:
    with closing(Wire(server)) as wire:
        wire.send(post(b" " * (3 * TEXT_BYTES)) + post(BODY))
        answer = wire.answer()
        assert answer.status == 413 and answer.error == f"the body is larger than the limit of {TEXT_BYTES} bytes"
        assert len(wire.answer().scores) == 1


@pytest.mark.parametrize("path", [b"/v2/repository/index", b"/v1/models/small/release"])
def test_what_asks_for_little_may_be_little(server: Server, path: bytes) -> None:
    with closing(Wire(server)) as wire:
        method = b"PUT" if path.endswith(b"release") else b"POST"
        wire.send(post(b"[" * 70_000, KEY, path=path).replace(b"POST", method, 1))
        answer = wire.answer()
        assert answer.status == 413 and answer.error == "the body is larger than the limit of 65536 bytes"


@pytest.fixture
def many_files() -> Iterator[None]:
    """As many sockets as these tests open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * CONNECTIONS
    if soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            pytest.skip(f"the system allows {hard} open files")
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_one_connection_too_many_is_refused_and_the_others_go_on(server: Server, many_files: None) -> None:
    with ExitStack() as stack:
        wires = [stack.enter_context(closing(Wire(server))) for _ in range(CONNECTIONS)]
        wires[-1].send(post(BODY))
        assert len(wires[-1].answer().scores) == 1  # so all are there
        for _ in range(3):
            with closing(Wire(server)) as surplus:
                answer = surplus.answer()
                assert answer.status == 429 and answer.headers["connection"] == "close"
                assert answer.error == f"{CONNECTIONS} connections are open already, the limit"
                assert answer.headers["retry-after"] == "1" and not surplus.rest()
        wires[0].send(post(BODY))
        assert len(wires[0].answer().scores) == 1
        wires.pop().close()
        until(lambda: _is_taken(server))


def _is_taken(server: Server) -> bool:
    with closing(Wire(server)) as wire:
        wire.socket.settimeout(5)
        wire.send(post(BODY))
        return wire.answer().status == 200


def test_the_cap_is_below_what_the_system_allows(small_artifact: Path, tmp_path: Path) -> None:
    script = tmp_path / "thimble-serve"
    script.write_text(f'#!/bin/sh\nulimit -n 200\nexec {SCRIPTS}/thimble-serve "$@"\n')
    script.chmod(0o755)
    with running(small_artifact, scripts=tmp_path) as server:
        server.wait_for_line("at most 72 connections are kept open instead of 1024: .* allows a process 200 open files")
        with ExitStack() as stack:
            wires = [stack.enter_context(closing(Wire(server))) for _ in range(150)]
            wires[-1].answer()
            wires[0].send(post(BODY))
            assert len(wires[0].answer().scores) == 1
