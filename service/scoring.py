"""The scoring routes.

They are plain ASGI in front of the FastAPI application, whose routing, request and response objects cost more than
scoring a row. `service.openapi` describes them.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import NamedTuple, TypeVar

from starlette.types import ASGIApp, Receive, Scope, Send

from models.features import shown
from service import bodies, oip, wire
from service.batcher import ClientGoneError, UnusableError
from service.errors import RequestError, send_error
from service.keys import Keys
from service.loader import Model
from service.registry import Registry
from service.settings import Settings

# More JSON or text is read, and answers compressed, beside the event loop, which would stand still too long.
INLINE_BYTES = 32 << 10
# What fits into a packet anyway is not compressed.
SMALLEST_COMPRESSED = 1400
CLIENT_GONE = 499  # nginx's number for it; nobody reads it, it appears in the access log and the metrics
HEADER_LENGTH = b"inference-header-content-length"
TIMEOUT = b"timeout-ms"
Result = TypeVar("Result")
log = logging.getLogger("thimble")


class Target(NamedTuple):
    """What a path asks to score with: the model's name and version, where they are given, and in which protocol."""

    model: str | None
    version: str | None
    inference: bool


class Answer(NamedTuple):
    body: bytes
    content_type: bytes
    header_length: int | None = None


class Scoring:
    """ASGI application that answers scoring requests and passes on all others."""

    def __init__(self, app: ASGIApp, registry: Registry, settings: Settings) -> None:
        self._app = app
        self._registry = registry
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        target = target_of(scope["path"]) if scope["type"] == "http" else None
        if target is None:
            await self._app(scope, receive, send)
            return
        start = monotonic()
        status, model = 200, None
        note = scope.get("state", {}).get("log", {})
        try:
            if scope["method"] != "POST":
                path = scope["raw_path"].decode("ascii")[:200]
                raise RequestError(405, f"{scope['method']} is not allowed at {path}, only POST", allow="POST")
            headers = dict(scope["headers"])
            model = self._registry.route(target.model, target.version, headers)
            note["model"], note["version"] = model.name, model.version
            answer, rows, model = await self._score(model, target, headers, receive)
            note.update(version=model.version, rows=rows)
            await _answer(send, headers, answer)
        except RequestError as error:
            status = error.status
            await send_error(send, error)
        except (bodies.DisconnectedError, ClientGoneError):
            status = CLIENT_GONE
            await _send(send, status, [], b"")
        except Exception:
            log.exception("%s failed", scope["path"][:200])
            status = 500
            await send_error(send, RequestError(500, "internal error, see the server's log"))
        if model is not None:
            model.metrics.request(status, monotonic() - start)

    async def _score(
        self, model: Model, target: Target, headers: bodies.Headers, receive: Receive
    ) -> tuple[Answer, int, Model]:
        """The answer, its number of rows, and which model gave it."""
        settings = self._settings
        encoding = bodies.encoding(headers)
        body = await bodies.read(headers, receive, settings.max_body_bytes, settings.read_timeout_s)
        size = len(body) if encoding is None else settings.max_body_bytes  # as many as it may inflate to

        def plain() -> bytes:
            return bodies.decompress(body, encoding, settings.max_body_bytes) if encoding else body

        answer = _inferred if target.inference else _scored
        gone = partial(bodies.departed, receive)
        try:
            return *await answer(model, headers, plain, size, gone), model
        except UnusableError:
            live = self._registry.beside(model)
            if live is None:
                raise
            return *await answer(live, headers, plain, size, gone), live  # nobody has to suffer from a bad canary


async def _scored(
    model: Model, headers: bodies.Headers, plain: Callable[[], bytes], size: int, gone: Callable[[], bool]
) -> tuple[Answer, int]:
    content_type = headers.get(b"content-type", b"application/json").partition(b";")[0].strip().lower()
    batch = await _beside(size, lambda: model.rows.read(content_type.decode("latin-1"), plain()))
    scores = await model.batcher.score(batch, _timeout(headers), gone)
    return Answer(wire.answer(model.name, model.version, scores), b"application/json"), len(scores)


async def _inferred(
    model: Model, headers: bodies.Headers, plain: Callable[[], bytes], size: int, gone: Callable[[], bool]
) -> tuple[Answer, int]:
    length = _header_length(headers)
    if length is not None and bodies.encoding(headers) is None and oip.BYTES not in plain()[:length]:
        size = length
    inference = await _beside(size, lambda: model.inferences.read(plain(), length))
    scores = await model.batcher.score(inference.batch, inference.timeout, gone)
    content, header_length = oip.answer(model.name, model.version, inference, scores)
    kind = b"application/json" if header_length is None else b"application/octet-stream"
    return Answer(content, kind, header_length), len(scores)


def door(registry: Registry, keys: Keys, path: str, headers: Sequence[tuple[bytes, bytes]]) -> RequestError | None:
    """Why a request to a path would be refused whatever it asks: too many rows wait before its model."""
    target = target_of(path.partition("?")[0])
    if target is None:
        return None
    try:
        model = registry.find(target.model, target.version)
    except RequestError:
        return None  # the application says it better
    try:
        model.batcher.check_room()
    except RequestError as full:
        try:
            keys.check(dict(headers))
        except RequestError:
            return None  # as above
        model.metrics.request(full.status, 0)
        return full
    return None


def target_of(path: str) -> Target | None:
    """What a path asks to score with, None if it is no scoring route."""
    match path.split("/"):
        case ["", "v1", "score"]:
            return Target(None, None, False)
        case ["", "v1", "models", model, "score"]:
            return Target(model, None, False)
        case ["", "v1", "models", model, "versions", version, "score"]:
            return Target(model, version, False)
        case ["", "v2", "models", model, "infer"]:
            return Target(model, None, True)
        case ["", "v2", "models", model, "versions", version, "infer"]:
            return Target(model, version, True)
    return None


async def _answer(send: Send, request: bodies.Headers, answer: Answer) -> None:
    body = answer.body
    headers = [(b"content-type", answer.content_type)]
    if answer.header_length is not None:
        headers.append((HEADER_LENGTH, b"%d" % answer.header_length))
    wanted = request.get(b"accept-encoding")
    if wanted is not None and len(body) >= SMALLEST_COMPRESSED:
        for name in (b"gzip", b"deflate"):
            if name in wanted.lower():
                body = await _beside(len(body), partial(bodies.compress, body, name))
                headers += [(b"content-encoding", name), (b"vary", b"accept-encoding")]
                break
    await _send(send, 200, headers, body)


async def _send(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _beside(size: int, work: Callable[[], Result]) -> Result:
    """Do work on so many bytes, in a thread where they are many."""
    return work() if size <= INLINE_BYTES else await asyncio.to_thread(work)


def _header_length(headers: bodies.Headers) -> int | None:
    value = headers.get(HEADER_LENGTH)
    if value is None:
        return None
    if not value.isdigit() or len(value) > 18:
        raise RequestError(400, f"Inference-Header-Content-Length {shown(value.decode('latin-1'))} is not a length")
    return int(value)


def _timeout(headers: bodies.Headers) -> float | None:
    """Seconds, from a header in milliseconds."""
    value = headers.get(TIMEOUT)
    if value is None:
        return None
    if not value.isdigit() or not 0 < len(value) <= 9 or not int(value):
        raise RequestError(400, f"Timeout-Ms {shown(value.decode('latin-1'))} is not a whole number of milliseconds")
    return int(value) / 1e3
