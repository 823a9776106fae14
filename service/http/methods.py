"""What every path answers beside its own methods: HEAD where it answers GET, and OPTIONS, which says them all."""

from collections.abc import Iterable

from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

ROUTED = ("GET", "POST", "PUT", "PATCH", "DELETE")


class HeadAsGet:
    """ASGI middleware: a HEAD is routed as a GET. The server, which knows better, leaves out the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        routed = {**scope, "method": "GET"}
        try:
            await self._app(routed, receive, send)
        finally:
            if "route" in routed:  # which names its span
                scope["route"] = routed["route"]


def routed(routes: Iterable[BaseRoute], scope: Scope) -> list[str]:
    """The methods of all routes of a path; Starlette names those of the first alone."""
    return [
        method
        for method in ROUTED
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in routes)
    ]


def allowed(methods: list[str]) -> str:
    """The Allow of a path that has routes of these methods."""
    return ", ".join([*methods, *(["HEAD"] if "GET" in methods else []), "OPTIONS"])
