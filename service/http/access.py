"""The access log: one line a request, which an id names, and the trace that a client says it belongs to."""

import itertools
import re
import secrets
from collections.abc import Mapping
from time import perf_counter
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from thimble.service.errors import RequestError
from thimble.service.http import paths
from thimble.service.http.replies import Client, Header
from thimble.service.http.sampling import RefusalSample
from thimble.service.telemetry import logs

REQUEST_ID, TRACEPARENT = b"x-request-id", b"traceparent"
_FIT_ID = re.compile(rb"[!-~]{1,128}").fullmatch
_TRACEPARENT = re.compile(
    rb"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-[0-9a-f]{2}(?P<more>-.*)?"
).fullmatch


class AccessLog:
    """A line a request, with the fields that a route put into its note, and an id that names it.

    The id is the client's, where it sent a fit one, and is told with the answer. `sample` says which refusals at the
    connection have a line.
    """

    def __init__(self, probes: bool) -> None:
        """With `probes` each probe and scrape has a line, else only one that is answered otherwise than the last."""
        self.sample = RefusalSample()
        self._prefix = secrets.token_hex(6)  # of the ids of this process
        self._numbers = itertools.count(1)
        self._probes = probes
        self._statuses: dict[str, int] = {}

    def begin(self, headers: Mapping[bytes, bytes], note: dict[str, Any]) -> "Entry":
        """A request has come."""
        sent = headers.get(REQUEST_ID)
        fit = sent is not None and _FIT_ID(sent)
        name = fit[0].decode("ascii") if fit else self._new_id()
        note["request_id"] = name
        if TRACEPARENT in headers and "trace_id" not in note and (parent := traceparent(headers[TRACEPARENT])):
            note["trace_id"], note["span_id"] = parent
        return Entry((REQUEST_ID, name.encode("ascii")), note)

    def refuse(self, error: RequestError, client: Client | None) -> Header:
        """Something was refused before it was a request. Returns the header with its id."""
        name = self._new_id()
        if self.sample.takes():
            note = {"request_id": name, "error": logs.shown(str(error))}
            logs.request("-", "-", error.status, 0, client[0] if client else None, note)
        return REQUEST_ID, name.encode("ascii")

    def has_line(self, path: str, status: int) -> bool:
        """Whether a request that was answered so is worth a line."""
        if self._probes or path not in paths.WATCHED:
            return True
        before, self._statuses[path] = self._statuses.get(path, 200), status
        return status != before

    def _new_id(self) -> str:
        return f"{self._prefix}-{next(self._numbers)}"


class Entry:
    """The line of a request that is being answered. `header` tells its id."""

    __slots__ = ("_note", "_start", "header")

    def __init__(self, header: Header, note: dict[str, Any]) -> None:
        self.header = header
        self._note = note
        self._start = perf_counter()

    def write(self, method: str, path: str, status: int, client: Client | None) -> None:
        """It was answered."""
        ms = (perf_counter() - self._start) * 1000
        logs.request(method, path, status, ms, client[0] if client else None, self._note)


class Logged:
    """ASGI middleware that keeps the access log. Scoring requests write their own lines, whichever door they take."""

    def __init__(self, app: ASGIApp, log: AccessLog) -> None:
        self._app = app
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or paths.scores(scope):
            await self._app(scope, receive, send)
            return
        status = 0
        entry = self._log.begin(dict(scope["headers"]), note_of(scope))

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], entry.header]
            await send(message)

        try:
            await self._app(scope, receive, answer)
        except Exception as error:
            status = status or 500  # answered further out
            error.add_note(f"This was {named(scope['path'], note_of(scope))}.")  # uvicorn logs it, and knows no ids
            raise
        finally:
            if self._log.has_line(scope["path"], status):
                entry.write(scope["method"], scope["path"], status, scope["client"])


def note_of(scope: Scope) -> dict[str, Any]:
    """What is noted of a request for the access log and its span; routes add to it."""
    note: dict[str, Any] = scope.setdefault("state", {}).setdefault("note", {})
    return note


def named(path: str, note: Mapping[str, Any]) -> str:
    """A request by its path and id, for other log lines."""
    name = note.get("request_id")
    return f"{shown_path(path)}, request {name}," if name else shown_path(path)


def shown_path(path: str) -> str:
    """A request's path without its query, which may hold secrets, in printable ASCII and not too long."""
    return logs.shown(path[: logs.SHOWN])


def traceparent(header: bytes) -> tuple[str, str] | None:
    """The ids of the trace and the span that a request belongs to by W3C's header, None if it has no valid one."""
    match = _TRACEPARENT(header)
    if match is None or match["version"] == b"ff" or (match["version"] == b"00" and match["more"]):
        return None
    trace, span = match["trace"].decode(), match["span"].decode()
    return (trace, span) if trace.strip("0") and span.strip("0") else None
