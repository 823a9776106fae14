"""A request that is answered without the application, and who answers it."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING
from typing import Protocol as TypingProtocol

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from thimble.service.errors import RequestError
from thimble.service.http.replies import Reply

if TYPE_CHECKING:
    from thimble.service.http.connection import Protocol

CLOSE = (b"connection", b"close")


class Answerer(TypingProtocol):
    """Answers a request without the application."""

    def takes(self, body: bytes) -> bool:
        """Whether it still does, now that the request has come whole. Must not raise."""

    def begin(self, exchange: "Exchange") -> None:
        """Answer it, now or later. Must not raise."""


Door = Callable[[str, list[tuple[bytes, bytes]]], RequestError | Answerer | None]
"""Says of a path and headers, before the body is there, why a request is refused or who answers it.

None: the application does.
"""


class Exchange:
    """A whole request that is answered without the application, in the place of uvicorn's cycle of the two."""

    response_started = False
    response_complete = False
    disconnected = False
    keep_alive = True
    message_event = SimpleNamespace(set=lambda: None)  # nobody waits

    def __init__(self, protocol: "Protocol", headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self.body = body
        self._protocol = protocol
        self._headers = headers

    @property
    def client(self) -> tuple[str, int] | None:
        """Who asks, also by way of a proxy, as uvicorn's middleware for these tells the application."""
        client, app = self._protocol.client, self._protocol.app
        assert isinstance(app, ProxyHeadersMiddleware)
        forwarded = b", ".join(value for name, value in self._headers if name == b"x-forwarded-for").decode("latin-1")
        if not forwarded or (client and client[0]) not in app.trusted_hosts:
            return client
        host, port = app.trusted_hosts.get_trusted_client_address(forwarded)
        return (host, port) if host else client

    def gone(self) -> bool:
        """Whether the client has left."""
        return self.disconnected

    def reply(self, reply: Reply) -> None:
        """Send the answer, as uvicorn would."""
        if self.disconnected:
            return
        protocol = self._protocol
        headers = [*protocol.server_state.default_headers, *reply.headers]
        if CLOSE in headers:
            self.keep_alive = False
        elif not self.keep_alive:
            headers.append(CLOSE)
        head = [STATUS_LINE[reply.status], *[b"%s: %s\r\n" % header for header in headers]]
        protocol.transport.write(b"".join([*head, b"\r\n", reply.body]))
        self.response_started = self.response_complete = True
        if not self.keep_alive:
            protocol.transport.close()
        protocol.on_response_complete()
