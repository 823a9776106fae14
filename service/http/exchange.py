"""One request on a connection, and how its answer is written."""

import asyncio
from collections.abc import Callable, Sized
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


class Link:
    """A connection as its requests see it: what they write to, and back pressure both ways.

    Nothing more is read while any of `requests` but the first waits for its turn.
    """

    def __init__(
        self, state: State, transport: asyncio.Transport, requests: Sized, on_answered: Callable[[], None]
    ) -> None:
        self.state = state
        self.transport = transport
        self.on_answered = on_answered
        self.writable = asyncio.Event()
        self.writable.set()
        self._requests = requests
        self._reading = True

    def pause_reading(self) -> None:
        """Take no more from the client for now."""
        if self._reading:
            self._reading = False
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Take more from the client again."""
        if not self._reading and len(self._requests) < 2:
            self._reading = True
            self.transport.resume_reading()


class Exchange:
    """A request that was read and is to be answered, in one piece.

    `started` and `answered` say how far the answer is; a client that has `left` gets none.
    """

    started = answered = left = False

    def __init__(self, link: Link, keep_alive: bool) -> None:
        self.keep_alive = keep_alive
        self._link = link

    def gone(self) -> bool:
        return self.left

    def leave(self) -> None:
        self.left = True

    def start(self) -> None:
        """It is its turn to be answered."""

    def reply(self, reply: Reply) -> None:
        """Send the whole answer."""
        if not self.left:
            self._link.transport.write(self._head(reply.status, reply.headers) + reply.body)
            self._end()

    def _head(self, status: int, headers: list[Header]) -> bytes:
        self.started = True
        state = self._link.state
        if CLOSE in headers or CLOSE in state.default_headers:
            self.keep_alive = False
        elif not self.keep_alive:
            headers = [*headers, CLOSE]
        return state.head(status, headers)

    def _end(self) -> None:
        self.answered = True
        if not self.keep_alive:
            self._link.transport.close()
        self._link.on_answered()
