"""How long connections stay."""

import asyncio
from collections.abc import Callable

import pytest
from starlette.types import Receive, Scope, Send

from thimble.service.http.connection import Connection, Serving
from thimble.service.http.exchange import State
from thimble.service.http.replies import Reply, send_reply

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


@pytest.mark.parametrize("paths", [[], [b"/"], [b"/slow"], [b"/direct"], [b"/direct", b"/slow", b"/"], [b"/slow"] * 3])
@pytest.mark.parametrize("pipelined", [True, False])
def test_a_connection_is_closed_when_it_was_idle_and_not_before(paths: list[bytes], pipelined: bool) -> None:
    async def talk() -> int:
        serving = Serving(
            app=app,
            state=State(),
            small_requests=lambda path, *_: Soon() if path == "/direct" else None,
            client_of=lambda client, _: client,
            patience=30.0,
            keep_alive=KEEP_ALIVE,
        )
        server = await asyncio.get_running_loop().create_server(lambda: Connection(serving), "127.0.0.1", 0)
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
