"""One request on a connection, and how its answer is written."""

import asyncio
from collections.abc import Callable
from typing import Any

from thimble.service.http.replies import CLOSE, STATUS_LINES, Header, Reply


class State:
    """What the connections of a server share. `default_headers` go with every answer.

    These are uvicorn's names, whose server goes by them when it stops; a server that is `closing` takes no connections.
    """

    def __init__(self) -> None:
        self.total_requests = 0
        self.connections: set[Any] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.default_headers: list[Header] = []
        self.closing = False

    def head(self, status: int, headers: list[Header]) -> bytes:
        """How every answer begins that is written to a connection."""
        lines = [b"%s: %s\r\n" % header for header in (*self.default_headers, *headers)]
        return b"".join([STATUS_LINES[status], *lines, b"\r\n"])


class Exchange:
    """A request that was read and is to be answered, in one piece.

    `started` and `answered` say how far the answer is; a client that has `left` gets none.
    """

    started = answered = left = False

    def __init__(
        self, state: State, transport: asyncio.Transport, on_answered: Callable[[], None], keep_alive: bool
    ) -> None:
        self.keep_alive = keep_alive
        self._state = state
        self._transport = transport
        self._on_answered = on_answered

    def gone(self) -> bool:
        """Whether the client has left."""
        return self.left

    def leave(self) -> None:
        """The client has left."""
        self.left = True

    def start(self) -> None:
        """It is its turn to be answered."""

    def reply(self, reply: Reply) -> None:
        """Send the whole answer."""
        if not self.left:
            self._transport.write(self._head(reply.status, reply.headers) + reply.body)
            self._end()

    def _head(self, status: int, headers: list[Header]) -> bytes:
        self.started = True
        if CLOSE in headers or CLOSE in self._state.default_headers:
            self.keep_alive = False
        elif not self.keep_alive:
            headers = [*headers, CLOSE]
        return self._state.head(status, headers)

    def _end(self) -> None:
        self.answered = True
        if not self.keep_alive:
            self._transport.close()
        self._on_answered()
