"""Answers connections that no worker takes, so that their clients know at once."""

import selectors
import socket
from collections.abc import Callable
from contextlib import suppress

from thimble.service.errors import RequestError
from thimble.service.http.access import AccessLog
from thimble.service.http.replies import STATUS_LINES, Reply, client_at

# For a request to come and for its client to take the answer; each client costs a file descriptor for so long.
SECONDS = 1.0
AT_MOST = 256
REQUEST_BYTES = 64 << 10


class Refusals:
    """Refuses connections with 503: the supervisor has no time for more. Over TLS they are just closed."""

    def __init__(self, selector: selectors.BaseSelector, tls: bool, log: AccessLog | None) -> None:
        """`log` has a line of each, where one is kept."""
        self._selector = selector
        self._tls = tls
        self._log = log
        self._ends: dict[socket.socket, float] = {}

    def __len__(self) -> int:
        return len(self._ends)

    def refuse(self, connection: socket.socket, reason: str, now: float) -> None:
        """Tell a client why, once it has asked: an answer before its request would be lost with the connection."""
        if self._tls or len(self._ends) >= AT_MOST:
            connection.close()
            return
        connection.setblocking(False)
        self._ends[connection] = now + SECONDS
        self._selector.register(connection, selectors.EVENT_READ, self._teller(connection, reason))

    def expire(self, now: float) -> None:
        """Give up those that have had their time."""
        for connection in [connection for connection, end in self._ends.items() if end <= now]:
            self._close(connection)

    def close(self) -> None:
        for connection in [*self._ends]:
            self._close(connection)

    def _teller(self, connection: socket.socket, reason: str) -> Callable[[], None]:
        told = False

        def on_readable() -> None:
            nonlocal told
            try:
                more = connection.recv(REQUEST_BYTES)
                if not told:
                    connection.send(self._answer(connection, reason))
                    connection.shutdown(socket.SHUT_WR)
                    told = True
            except OSError:
                more = b""
            if not more:
                self._close(connection)

        return on_readable

    def _answer(self, connection: socket.socket, reason: str) -> bytes:
        error = RequestError(503, reason, retry_after=1, unread=True)
        reply = Reply.to(error)
        if self._log is not None:
            reply.headers.append(self._log.refuse(error, client_at(connection.getpeername())))
        headers = b"".join(b"%s: %s\r\n" % header for header in reply.headers)
        return STATUS_LINES[reply.status] + headers + b"\r\n" + reply.body

    def _close(self, connection: socket.socket) -> None:
        if self._ends.pop(connection, None) is None:
            return  # its time was over a moment ago
        with suppress(KeyError):  # the selector is closed
            self._selector.unregister(connection)
        connection.close()
