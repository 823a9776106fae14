"""The one way in which a request is scored, whichever door it came through.

There are two: `small_requests`, for what comes whole and at once, and the route in `routes.scoring`, for everything
else. Both make a `ScoringCall`, admit it, and give it the body. No socket and no ASGI message is known here. The steps
call each other back instead of being awaited: a task and its coroutines cost as much as reading and scoring a row.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import monotonic
from typing import Any, NamedTuple, TypeVar

from thimble.models.conversions import shown
from thimble.models.features import Batch
from thimble.models.hashing import Floats
from thimble.service.engine.outcomes import ClientGoneError, Reason, RefusedError, UnusableError
from thimble.service.errors import RequestError
from thimble.service.http import bodies
from thimble.service.http.access import AccessLog, named
from thimble.service.http.budget import ByteBudget
from thimble.service.http.codecs import CodecCache, Codecs
from thimble.service.http.keys import Keys
from thimble.service.http.paths import Target
from thimble.service.http.replies import Client, Reply
from thimble.service.releases.catalogue import Catalogue
from thimble.service.releases.loader import Model
from thimble.service.settings import Settings
from thimble.service.wire import compression, inference, rows
from thimble.service.wire.scan import HARMLESS_BYTES

# More JSON or text is read, and answers compressed, beside the event loop, which would stand still too long.
INLINE_BYTES = HARMLESS_BYTES
# What fits into a packet anyway is not compressed.
SMALLEST_COMPRESSED = 1400
CLIENT_GONE = 499  # nginx's number for it; nobody reads it, it appears in the access log and the metrics
# Of what the queue refuses.
STATUSES: dict[Reason, int] = {"queue_full": 429, "would_be_late": 429, "timeout": 504}
HEADER_LENGTH = b"inference-header-content-length"
TIMEOUT = b"timeout-ms"
Result = TypeVar("Result")
log = logging.getLogger("thimble")


class Answer(NamedTuple):
    """Scores as they are told. `header_length` is the bytes of JSON before binary scores."""

    body: bytes
    content_type: bytes
    header_length: int | None = None


class Question(NamedTuple):
    """Rows to be scored and how the scores are told. `timeout` is in seconds, None without one."""

    batch: Batch
    timeout: float | None
    answer: Callable[[Floats], Answer]


class Scoring:
    """Scores requests with the models of a catalogue."""

    def __init__(self, catalogue: Catalogue, settings: Settings, keys: Keys, log: AccessLog | None) -> None:
        """`log` has a line a request, where one is kept."""
        self.catalogue = catalogue
        self.keys = keys
        self.log = log
        self.codecs = CodecCache(settings.max_rows)
        self.max_body_bytes = settings.max_body_bytes
        self.max_text_bytes = min(settings.max_text_bytes, settings.max_body_bytes)
        self.read_timeout_s = settings.read_timeout_s
        self.budget = ByteBudget(settings.max_inflight_bytes)
        # One at a time: the interpreter would let no two parse at once, and each takes memory while it does.
        self.beside = ThreadPoolExecutor(1, "reader")


class ScoringCall:
    """A request to be scored, from its headers to its reply.

    First it is admitted. Then either its body is scored, by `begin`, or it fails, and `send` is given the reply once.
    Until then `hold` is the room for its body, which is read again where a canary gives no scores.
    """

    def __init__(
        self,
        scoring: Scoring,
        target: Target,
        path: str,
        headers: bodies.Headers,
        client: Client | None,
        note: dict[str, Any],
    ) -> None:
        """`note` is filled with what is found out, for the access log and the span of a trace."""
        self._scoring = scoring
        self._target = target
        self._path = path
        self._headers = headers
        self._client = client
        self._note = note
        self._model: Model | None = None
        self.hold = scoring.budget.hold()
        self._start = monotonic()
        self._entry = scoring.log.begin(headers, note) if scoring.log else None

    def admit(self) -> None:
        """Find the model. RequestError: there is none, it may not be asked with this key, or the body is unreadable."""
        self._scoring.keys.check(self._headers)
        model = self._scoring.catalogue.route(self._target.model, self._target.version, self._headers)
        self._model = model
        self._note["model"], self._note["version"] = model.name, model.version
        self._encoding = compression.encoding(self._headers) if b"content-encoding" in self._headers else None

    @property
    def max_body_bytes(self) -> int:
        """What its body may weigh, compressed or not: more where it brings binary tensors than where all is text."""
        binary = self._target.inference and HEADER_LENGTH in self._headers
        return self._scoring.max_body_bytes if binary else self._scoring.max_text_bytes

    def overload(self) -> Reply | None:
        """The refusal of a request that finds the queue full, whatever its body; it is counted and not logged."""
        assert self._model is not None
        full = self._model.batcher.full()
        if full is None:
            return None
        reply = failure(full, self._path)
        self._model.metrics.request(reply.status, 0)
        return reply

    def begin(self, body: bytes, gone: Callable[[], bool], send: Callable[[Reply], None]) -> None:
        """Score a whole body. `gone` says whether the client has left. It does not raise."""
        assert self._model is not None
        self._body, self._gone, self._send = body, gone, send
        self._guard(self._ask, self._model)

    def fail(self, error: Exception, send: Callable[[Reply], None]) -> None:
        """Answer with an error instead of scores."""
        self._finish(failure(error, named(self._path, self._note)), send)

    # Each step calls the next. What begins a row of them, or goes on with it after a pause, is guarded.

    def _guard(self, step: Callable[..., None], *given: Any) -> None:
        try:
            step(*given)
        except Exception as error:
            self.fail(error, self._send)
            # its frames hold all that was read, and those of a future hold each other until garbage is collected
            error.__traceback__ = None

    def _beside(self, work: Callable[[], Result], then: Callable[[Result], None]) -> None:
        """Do work in a thread, and go on with what comes of it."""
        done = asyncio.get_running_loop().run_in_executor(self._scoring.beside, work)
        done.add_done_callback(lambda _: self._guard(lambda: then(done.result())))

    def _ask(self, model: Model) -> None:
        codecs = self._scoring.codecs.of(model)
        if self._encoding is None and self._text_bytes() <= INLINE_BYTES:
            self._submit(model, self._read(model, codecs))
        else:
            self.hold.grow_to(len(self._body))
            self._beside(partial(self._read, model, codecs), partial(self._submit, model))

    def _text_bytes(self) -> int:
        """How many bytes of the body have to be read as text. RequestError 400: nobody knows."""
        length = header_length(self._headers) if self._target.inference else None
        if length is None or (length <= INLINE_BYTES and inference.may_have_texts(self._body[:length])):
            return len(self._body)
        return length

    def _read(self, model: Model, codecs: Codecs) -> Question:
        """What the request asks of a model. RequestError. ClientGoneError: nobody would hear what."""
        if self._gone():
            raise ClientGoneError
        body = self._body
        if self._encoding is not None:
            body = compression.decompress(body, self._encoding, self.max_body_bytes)
        if self._target.inference:
            length = header_length(self._headers)
            if length is not None and min(length, len(body)) > (limit := self._scoring.max_text_bytes):
                raise RequestError(413, f"the JSON before the tensors is larger than the limit of {limit} bytes")
            asked = codecs.inferences.read(body, length)
            if body is not self._body:  # for which nothing is held: it is not to stay while its rows wait
                asked = asked._replace(batch=asked.batch.copied())
            return Question(asked.batch, asked.timeout, partial(_inferred, model, asked))
        content_type = self._headers.get(b"content-type", b"application/json").partition(b";")[0].strip().lower()
        batch = codecs.rows.read(content_type.decode("latin-1"), body)
        return Question(batch, _timeout(self._headers), partial(_scored, model))

    def _submit(self, model: Model, question: Question) -> None:
        told = partial(self._guard, self._scored, model, question)
        model.batcher.submit(question.batch, question.timeout, self._gone, told)

    def _scored(self, model: Model, question: Question, scores: Floats | Exception) -> None:
        if isinstance(scores, Exception):
            live = self._scoring.catalogue.fallback(model) if isinstance(scores, UnusableError) else None
            if live is None:
                raise scores
            self._ask(live)  # nobody has to suffer from a bad canary
            return
        self._model = model
        self._note["version"], self._note["rows"] = model.version, len(scores)
        answer = question.answer(scores)
        encoding = _encoding_of(answer, self._headers)
        if encoding is None or len(answer.body) <= INLINE_BYTES:
            self._finish(_reply_of(answer, encoding), self._send)
        else:
            self._beside(partial(_reply_of, answer, encoding), lambda reply: self._finish(reply, self._send))

    def _finish(self, reply: Reply, send: Callable[[Reply], None]) -> None:
        if self._entry is not None:
            reply.headers.append(self._entry.header)
        self.hold.release()
        send(reply)
        if self._model is not None:
            self._model.metrics.request(reply.status, monotonic() - self._start)
        if self._entry is not None:
            self._entry.write("POST", self._path, reply.status, self._client)


def failure(error: Exception, request: str) -> Reply:
    """What is answered instead of scores."""
    match error:
        case RequestError():
            return Reply.to(error)
        case RefusedError():
            return Reply.to(RequestError(STATUSES[error.reason], error.message, retry_after=error.retry_after))
        case UnusableError():
            return Reply.to(RequestError(500, str(error)))
        case bodies.DisconnectedError() | ClientGoneError():
            return Reply.of(CLIENT_GONE, [], b"")
    log.error("%s failed", request, exc_info=error)
    return Reply.to(RequestError(500, "internal error, see the server's log"))


def header_length(headers: bodies.Headers) -> int | None:
    """The bytes of JSON before binary tensors, where a request says it. RequestError 400."""
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


def _scored(model: Model, scores: Floats) -> Answer:
    return Answer(rows.answer(model.name, model.version, scores), b"application/json")


def _inferred(model: Model, asked: inference.Inference, scores: Floats) -> Answer:
    content, length = inference.answer(model.name, model.version, asked, scores)
    kind = b"application/json" if length is None else b"application/octet-stream"
    return Answer(content, kind, length)


def _encoding_of(answer: Answer, headers: bodies.Headers) -> bytes | None:
    """How the client wants it compressed, None if it does not, or it would not pay."""
    wanted = headers.get(b"accept-encoding")
    return None if wanted is None or len(answer.body) < SMALLEST_COMPRESSED else compression.accepted(wanted)


def _reply_of(answer: Answer, encoding: bytes | None) -> Reply:
    """An answer as it is sent."""
    headers = [(b"content-type", answer.content_type)]
    if answer.header_length is not None:
        headers.append((HEADER_LENGTH, b"%d" % answer.header_length))
    if encoding is None:
        return Reply.of(200, headers, answer.body)
    headers += [(b"content-encoding", encoding), (b"vary", b"accept-encoding")]
    return Reply.of(200, headers, compression.compress(answer.body, encoding))
