"""What all connections of a server have in common, and who answers what comes over them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from starlette.types import ASGIApp

from thimble.service.http.access import AccessLog
from thimble.service.http.exchange import State
from thimble.service.http.headers import Headers
from thimble.service.http.replies import Client, Reply


class Call(Protocol):
    """What answers a request without the application."""

    def begin(self, body: bytes, gone: Callable[[], bool], send: Callable[[Reply], None]) -> None:
        """Answer a whole body, now or later. It must not raise."""


SmallRequests = Callable[[str, Headers, Client | None], Reply | Call | None]
ClientOf = Callable[[Client | None, bytes], Client | None]


@dataclass(frozen=True)
class Serving:
    """What all connections of a server have in common.

    `root_path` is where a proxy serves it, which may or may not be in the paths that come.
    `small_requests` says of a request's headers how it is refused at once or what scores it; what it does not take is
    for `app`. `client_of` says who asks, of who connected and an X-Forwarded-For. Times are in seconds: `patience` is
    for the client to send what it has begun and to take what it is sent, `keep_alive` for it to ask again.
    `max_connections` may be open at a time. `log` gets what is refused before it is a request.
    """

    app: ASGIApp
    state: State
    small_requests: SmallRequests
    client_of: ClientOf
    patience: float
    keep_alive: float
    max_connections: int
    log: AccessLog | None = None
    root_path: bytes = b""
