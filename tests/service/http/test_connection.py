"""How long connections stay, and how they end."""

import asyncio
from collections.abc import Callable

import pytest
from starlette.types import Receive, Scope, Send

from thimble.service.http.connection import Connection
from thimble.service.http.exchange import State
from thimble.service.http.replies import CLOSE, Reply, send_reply
from thimble.service.http.serving import Serving, SmallRequests

KEEP_ALIVE = 0.2
DONE = Reply.of(200, [], b"done")
REQUEST = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    if scope["path"] == "/slow":
        await asyncio.sleep(3 * KEEP_ALIVE)
    await send_reply(send, DONE)


class Soon:
    """Answers in the time of three."""

    def begin(self, body: bytes, gone: Callable[[], bool], send: Callable[[Reply], None]) -> None:
        assert body == b"{}" and not gone()
        asyncio.get_running_loop().call_later(3 * KEEP_ALIVE, send, DONE)


def serving(small_requests: SmallRequests, state: State | None = None) -> Serving:
    return Serving(
        app=app,
        state=state or State(),
        small_requests=small_requests,
        client_of=lambda client, _: client,
        patience=30.0,
        keep_alive=KEEP_ALIVE,
        max_connections=100,
    )


async def said(served: Serving, requests: bytes) -> bytes:
    """All that a connection answers until it is closed."""
    server = await asyncio.get_running_loop().create_server(lambda: Connection(served), "127.0.0.1", 0)
    async with server, asyncio.timeout(30):
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(requests)
        answers = await reader.read()
        writer.close()
        return answers


@pytest.mark.parametrize("paths", [[], [b"/"], [b"/slow"], [b"/direct"], [b"/direct", b"/slow", b"/"], [b"/slow"] * 3])
@pytest.mark.parametrize("pipelined", [True, False])
def test_a_connection_is_closed_when_it_was_idle_and_not_before(paths: list[bytes], pipelined: bool) -> None:
    async def talk() -> int:
        served = serving(lambda path, *_: Soon() if path == "/direct" else None)
        server = await asyncio.get_running_loop().create_server(lambda: Connection(served), "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            answers = 0
            for requests in [b"".join(REQUEST % path for path in paths)] if pipelined else [REQUEST % p for p in paths]:
                writer.write(requests)
                for _ in range(requests.count(b"POST")):
                    await reader.readuntil(b"done")
                    answers += 1
            async with asyncio.timeout(30):
                assert await reader.read() == b""
            writer.close()
            return answers

    assert asyncio.run(talk()) == len(paths)


def test_what_is_refused_at_its_headers_ends_a_connection_that_is_to_end() -> None:
    """A server that drains asks with each answer to come no more, and then nothing more is taken."""
    state, asked = State(), []
    state.default_headers = [CLOSE]

    def refuse(path: str, *_: object) -> Reply:
        asked.append(path)
        return Reply.of(429, [], b"refused")

    answers = asyncio.run(said(serving(refuse, state), REQUEST % b"/first" + REQUEST % b"/second"))
    assert answers.count(b"HTTP/1.1 429 ") == 1 and answers.count(b"connection: close") == 1 and asked == ["/first"]


def test_what_goes_wrong_with_us_is_no_fault_of_the_request(caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: object) -> None:
        raise KeyError("ours")

    answers = asyncio.run(said(serving(fail), REQUEST % b"/v1/score"))
    assert answers.startswith(b"HTTP/1.1 500 ") and answers.endswith(
        b'{"error":"internal error, see the server\'s log"}'
    )
    assert "KeyError: 'ours'" in caplog.text
