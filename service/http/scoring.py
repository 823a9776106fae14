"""The scoring routes.

They are plain ASGI in front of the FastAPI application, whose routing, request and response objects cost more than
scoring a row. `http.openapi` describes them. Small requests do not even come here: `http.fast` answers those
by the same steps.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import NamedTuple, TypeVar

from starlette.types import ASGIApp, Receive, Scope, Send

from thimble.models.features import Batch, shown
from thimble.models.hashing import Floats
from thimble.service.engine.batcher import ClientGoneError, UnusableError
from thimble.service.errors import RequestError
from thimble.service.http import bodies, paths
from thimble.service.http.paths import Target
from thimble.service.http.replies import Reply, send_reply
from thimble.service.releases.catalogue import Registry
from thimble.service.releases.loader import Model
from thimble.service.settings import Settings
from thimble.service.telemetry.logs import named, note_of
from thimble.service.wire import inference, rows

# More JSON or text is read, and answers compressed, beside the event loop, which would stand still too long.
INLINE_BYTES = 32 << 10
# What fits into a packet anyway is not compressed.
SMALLEST_COMPRESSED = 1400
CLIENT_GONE = 499  # nginx's number for it; nobody reads it, it appears in the access log and the metrics
HEADER_LENGTH = b"inference-header-content-length"
TIMEOUT = b"timeout-ms"
Result = TypeVar("Result")
log = logging.getLogger("thimble")


class Answer(NamedTuple):
    body: bytes
    content_type: bytes
    header_length: int | None = None


class Question(NamedTuple):
    """Rows to be scored and how the scores are told. `timeout` is in seconds, None without one."""

    batch: Batch
    timeout: float | None
    answer: Callable[[Floats], Answer]


class Scoring:
    """ASGI application that answers scoring requests and passes on all others."""

    def __init__(self, app: ASGIApp, registry: Registry, settings: Settings) -> None:
        self._app = app
        self._registry = registry
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        target = paths.parse(scope["path"]) if scope["type"] == "http" else None
        if target is None:
            await self._app(scope, receive, send)
            return
        start = monotonic()
        model = None
        note = note_of(scope)
        try:
            if scope["method"] != "POST":
                path = scope["raw_path"].decode("ascii")[:200]
                raise RequestError(405, f"{scope['method']} is not allowed at {path}, only POST", allow="POST")
            headers = dict(scope["headers"])
            model = self._registry.route(target.model, target.version, headers)
            note["model"], note["version"] = model.name, model.version
            answer, rows, model = await self._score(model, target, headers, receive)
            note.update(version=model.version, rows=rows)
            encoding = encoding_of(answer, headers)
            reply = await _beside(len(answer.body) if encoding else 0, partial(reply_of, answer, encoding))
        except Exception as error:
            reply = failure(error, named(scope["path"], note))
        await send_reply(send, reply)
        if model is not None:
            model.metrics.request(reply.status, monotonic() - start)

    async def _score(
        self, model: Model, target: Target, headers: bodies.Headers, receive: Receive
    ) -> tuple[Answer, int, Model]:
        """The answer, its number of rows, and which model gave it."""
        settings = self._settings
        encoding = bodies.encoding(headers)
        body = await bodies.read(headers, receive, settings.max_body_bytes, settings.read_timeout_s)
        size = settings.max_body_bytes if encoding else text_bytes(target, headers, body)  # as many as it may be

        def read() -> Question:
            plain = bodies.decompress(body, encoding, settings.max_body_bytes) if encoding else body
            return question_of(model, target, headers, plain)

        try:
            return *await self._ask(model, await _beside(size, read), receive), model
        except UnusableError:
            live = self._registry.beside(model)
            if live is None:
                raise
            model = live  # nobody has to suffer from a bad canary
            return *await self._ask(model, await _beside(size, read), receive), model

    @staticmethod
    async def _ask(model: Model, question: Question, receive: Receive) -> tuple[Answer, int]:
        scores = await model.batcher.score(question.batch, question.timeout, partial(bodies.departed, receive))
        return question.answer(scores), len(scores)


def question_of(model: Model, target: Target, headers: bodies.Headers, body: bytes) -> Question:
    """What a request asks of a model. RequestError."""
    if target.inference:
        inference = model.inferences.read(body, _header_length(headers))
        return Question(inference.batch, inference.timeout, partial(_inferred, model, inference))
    content_type = headers.get(b"content-type", b"application/json").partition(b";")[0].strip().lower()
    batch = model.rows.read(content_type.decode("latin-1"), body)
    return Question(batch, _timeout(headers), partial(_scored, model))


def text_bytes(target: Target, headers: bodies.Headers, body: bytes) -> int:
    """How many bytes of a body have to be read as text. RequestError."""
    length = _header_length(headers) if target.inference else None
    return len(body) if length is None or inference.BYTES in body[:length] else length


def encoding_of(answer: Answer, headers: bodies.Headers) -> bytes | None:
    """How the client wants it compressed, None if it does not, or it would not pay."""
    wanted = headers.get(b"accept-encoding")
    if wanted is None or len(answer.body) < SMALLEST_COMPRESSED:
        return None
    return next((name for name in (b"gzip", b"deflate") if name in wanted.lower()), None)


def reply_of(answer: Answer, encoding: bytes | None) -> Reply:
    """An answer as it is sent."""
    headers = [(b"content-type", answer.content_type)]
    if answer.header_length is not None:
        headers.append((HEADER_LENGTH, b"%d" % answer.header_length))
    if encoding is None:
        return Reply.of(200, headers, answer.body)
    headers += [(b"content-encoding", encoding), (b"vary", b"accept-encoding")]
    return Reply.of(200, headers, bodies.compress(answer.body, encoding))


def failure(error: Exception, request: str) -> Reply:
    """What is answered instead of scores."""
    match error:
        case RequestError():
            return error.reply
        case bodies.DisconnectedError() | ClientGoneError():
            return Reply.of(CLIENT_GONE, [], b"")
    log.error("%s failed", request, exc_info=error)
    return RequestError(500, "internal error, see the server's log").reply


def _scored(model: Model, scores: Floats) -> Answer:
    return Answer(rows.answer(model.name, model.version, scores), b"application/json")


def _inferred(model: Model, asked: inference.Inference, scores: Floats) -> Answer:
    content, header_length = inference.answer(model.name, model.version, asked, scores)
    kind = b"application/json" if header_length is None else b"application/octet-stream"
    return Answer(content, kind, header_length)


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
