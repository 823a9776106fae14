"""The one way in which a request is scored, whichever door it came through.

There are two: `small_requests`, for what comes whole and at once, and the route in `routes.scoring`, for everything
else. Both make a `ScoringCall`, admit it, and give it the body. No socket and no ASGI message is known here. The steps
call each other back instead of being awaited: a task and its coroutines cost as much as reading and scoring a row.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import monotonic
from typing import Any, NamedTuple, TypeVar

from thimble.models.conversions import shown
from thimble.models.features import Batch
from thimble.models.hashing import Floats
from thimble.service.engine.outcomes import ClientGoneError, RefusedError, UnusableError, late
from thimble.service.errors import RequestError
from thimble.service.http import answers
from thimble.service.http.access import AccessLog, named
from thimble.service.http.answers import HEADER_LENGTH, Answer
from thimble.service.http.budget import ByteBudget
from thimble.service.http.codecs import CodecCache, Codecs
from thimble.service.http.headers import Headers, content_encoding, media_type
from thimble.service.http.keys import Keys
from thimble.service.http.paths import Target
from thimble.service.http.replies import Client, Reply
from thimble.service.http.sources import source_of
from thimble.service.releases.catalogue import Catalogue
from thimble.service.releases.loader import Model
from thimble.service.settings import Settings
from thimble.service.wire import compression, inference
from thimble.service.wire.scan import HARMLESS_BYTES

# More JSON or text is read, and answers compressed, beside the event loop, which would stand still too long.
INLINE_BYTES = HARMLESS_BYTES
TIMEOUT = b"timeout-ms"
Result = TypeVar("Result")


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
        self.codecs = CodecCache(settings.max_rows, settings.max_body_bytes)
        self.max_body_bytes = settings.max_body_bytes
        self.max_text_bytes = min(settings.max_text_bytes, settings.max_body_bytes)
        self.timeout_s = settings.timeout_ms / 1e3
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
        headers: Headers,
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
        self._submitted: float | None = None
        self._failed: tuple[Model, ...] = ()
        self._entry = scoring.log.begin(headers, note) if scoring.log else None

    def admit(self) -> None:
        """Find the model. RequestError: there is none, it may not be asked with this key, or the body is unreadable."""
        self._scoring.keys.check(self._headers)
        model = self._scoring.catalogue.route(self._target.model, self._target.version, self._headers)
        self._model = model
        self._note["model"], self._note["version"] = model.name, model.version
        self._encoding = content_encoding(self._headers) if b"content-encoding" in self._headers else None

    @property
    def max_body_bytes(self) -> int:
        """What its body may weigh, compressed or not: more where it brings binary tensors than where all is text."""
        binary = self._target.inference and HEADER_LENGTH in self._headers
        return self._scoring.max_body_bytes if binary else self._scoring.max_text_bytes

    def overload(self) -> Reply | None:
        """The refusal of a request that finds the queue full, whatever its body; not every one has a line."""
        assert self._model is not None
        full = self._model.batcher.full()
        if full is None:
            return None
        reply = answers.failure(full, self._path)
        self._model.metrics.request(reply.status, 0)
        if self._scoring.log is not None and self._entry is not None:
            reply.headers.append(self._entry.header)
            if self._scoring.log.sample.takes():
                self._entry.write("POST", self._path, reply.status, self._client)
        return reply

    def begin(self, body: bytes, gone: Callable[[], bool], send: Callable[[Reply], None]) -> None:
        """Score a whole body. `gone` says whether the client has left. It does not raise."""
        assert self._model is not None
        self._body, self._gone, self._send = body, gone, send
        self._guard(self._ask, self._model)

    def fail(self, error: Exception, send: Callable[[Reply], None]) -> None:
        """Answer with an error instead of scores."""
        self._finish(answers.failure(error, named(self._path, self._note)), send)

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
            return Question(asked.batch, asked.timeout, partial(answers.inferred, model, asked))
        media = media_type(self._headers.get(b"content-type", b""))
        media.check(body)
        batch, picked = codecs.rows.asked(media.name, body)
        answer = partial(answers.scored, model, codecs.rows.outputs, picked)
        return Question(batch, _timeout(self._headers), answer)

    def _submit(self, model: Model, question: Question) -> None:
        told = partial(self._guard, self._scored, model, question)
        timeout = self._time_left(question)
        try:
            model.batcher.submit(question.batch, timeout, self._gone, told, source_of(self._client))
        except RefusedError as refused:
            self._fall_back(model, refused)

    def _time_left(self, question: Question) -> float | None:
        """Seconds for the rows to be scored, None for as many as any may take. RefusedError: another version took all.

        They count from when the rows were first handed to a queue.
        """
        if self._submitted is None:
            self._submitted = monotonic()
            return question.timeout
        timeout = self._scoring.timeout_s if question.timeout is None else question.timeout
        left = timeout - (monotonic() - self._submitted)
        if left <= 0:
            raise late(timeout)
        return left

    def _scored(self, model: Model, question: Question, scores: Floats | Exception) -> None:
        if isinstance(scores, Exception):
            self._fall_back(model, scores)
            return
        self._note["rows"] = len(scores)
        answer = question.answer(scores)
        encoding = answers.encoding_of(answer, self._headers)
        if encoding is None or len(answer.body) <= INLINE_BYTES:
            self._finish(answers.reply_of(answer, encoding), self._send)
        else:
            self._beside(partial(answers.reply_of, answer, encoding), lambda reply: self._finish(reply, self._send))

    def _fall_back(self, model: Model, error: Exception) -> None:
        """Ask another version if one could not score: nobody has to suffer from it who did not name it."""
        at_fault = isinstance(error, UnusableError) or (
            isinstance(error, RefusedError) and error.reason == "engine_failing"
        )
        other = self._scoring.catalogue.fallback(model) if at_fault and self._target.version is None else None
        self._failed += (model,)
        if other is None or other in self._failed:
            raise error
        self._model = other  # which counts what becomes of the request
        self._note["version"] = other.version
        self._ask(other)

    def _finish(self, reply: Reply, send: Callable[[Reply], None]) -> None:
        if self._entry is not None:
            reply.headers.append(self._entry.header)
        self.hold.release()
        send(reply)
        if self._model is not None:
            self._model.metrics.request(reply.status, monotonic() - self._start)
        if self._entry is not None:
            self._entry.write("POST", self._path, reply.status, self._client)


def header_length(headers: Headers) -> int | None:
    """The bytes of JSON before binary tensors, where a request says it. RequestError 400."""
    value = headers.get(HEADER_LENGTH)
    if value is None:
        return None
    if not value.isdigit() or len(value) > 18:
        raise RequestError(400, f"Inference-Header-Content-Length {shown(value.decode('latin-1'))} is not a length")
    return int(value)


def _timeout(headers: Headers) -> float | None:
    """Seconds, from a header in milliseconds."""
    value = headers.get(TIMEOUT)
    if value is None:
        return None
    if not value.isdigit() or not 0 < len(value) <= 9 or not int(value):
        raise RequestError(400, f"Timeout-Ms {shown(value.decode('latin-1'))} is not a whole number of milliseconds")
    return int(value) / 1e3
