"""Scoring requests that are small and come whole, answered without the application.

A task, a scope and a dozen steps of coroutines cost as much as reading a row and scoring it. What happens here is what
happens in `http.scoring`, by the same functions in the same order, so the answers are the same; but the queue calls
back instead of being awaited. Everything else takes the application's way.
"""

from collections.abc import Sequence
from functools import partial
from time import monotonic
from typing import Any

from thimble.models.hashing import Floats
from thimble.service.engine.batcher import UnusableError
from thimble.service.errors import RequestError
from thimble.service.http import paths
from thimble.service.http.bodies import Headers
from thimble.service.http.exchange import Exchange
from thimble.service.http.keys import Keys
from thimble.service.http.paths import Target
from thimble.service.http.replies import Reply
from thimble.service.http.scoring import (
    HEADER_LENGTH,
    INLINE_BYTES,
    Question,
    encoding_of,
    failure,
    question_of,
    reply_of,
    text_bytes,
)
from thimble.service.releases.catalogue import Registry
from thimble.service.releases.loader import Model
from thimble.service.settings import Settings
from thimble.service.telemetry.logs import AccessLog, named

# A row takes at most sixteen bytes of an answer, so none of these needs a thread to be compressed.
MOST_ROWS = INLINE_BYTES // 16
# Of text, where a row takes two at least.
MOST_BYTES = 2 * MOST_ROWS
# A number of a binary tensor takes four at least.
NUMBER_BYTES = 4


class Direct:
    """What is done with requests at the door, when their headers are there."""

    def __init__(self, registry: Registry, settings: Settings, keys: Keys, log: AccessLog | None) -> None:
        self.registry = registry
        self.keys = keys
        self.log = log
        self._tracing = settings.tracing
        self._max_body_bytes = settings.max_body_bytes

    def door(self, path: str, headers: Sequence[tuple[bytes, bytes]]) -> "RequestError | Call | None":
        """Why a request is refused whatever it asks, or who answers it once it is whole; None: the application does."""
        path = path.partition("?")[0]
        target = paths.parse(path)
        if target is None:
            return None
        fields = dict(headers)
        try:
            model = self.registry.route(target.model, target.version, fields)
        except RequestError:
            return None  # the application says it better
        full = model.batcher.full()
        if full is not None:
            try:
                self.keys.check(fields)
            except RequestError:
                return None  # as above
            model.metrics.request(full.status, 0)
            return full
        if self._tracing or b"content-encoding" in fields or not self._is_small(target, model, fields):
            return None
        return Call(self, path, target, model, fields)

    def _is_small(self, target: Target, model: Model, headers: Headers) -> bool:
        length = headers.get(b"content-length")
        if length is None:
            return False
        binary = target.inference and HEADER_LENGTH in headers
        row_bytes = NUMBER_BYTES * (len(model.spec.dense) + len(model.spec.fields))
        return int(length) <= min(MOST_ROWS * row_bytes if binary else MOST_BYTES, self._max_body_bytes)


class Call:
    """A request that is answered here."""

    def __init__(self, direct: Direct, path: str, target: Target, model: Model, headers: Headers) -> None:
        self._direct = direct
        self._path = path
        self._target = target
        self._model = model
        self._headers = headers
        self._note: dict[str, Any] = {}
        self._known = False

    def takes(self, body: bytes) -> bool:
        """Not if much of it has to be read as text."""
        try:
            return text_bytes(self._target, self._headers, body) <= MOST_BYTES
        except RequestError:
            return False  # the application says it better

    def begin(self, exchange: Exchange) -> None:
        """Answer it once it is scored."""
        self._exchange = exchange
        self._start = monotonic()
        log = self._direct.log
        self._entry = log.begin(self._headers, self._note) if log else None
        try:
            self._direct.keys.check(self._headers)
            self._known = True
            self._note["model"], self._note["version"] = self._model.name, self._model.version
            self._ask(self._model)
        except Exception as error:
            self._end(failure(error, named(self._path, self._note)))

    def _ask(self, model: Model) -> None:
        question = question_of(model, self._target, self._headers, self._exchange.body)
        done = partial(self._scored, model, question)
        model.batcher.submit(question.batch, question.timeout, self._exchange.gone, done)

    def _scored(self, model: Model, question: Question, scores: Floats | Exception) -> None:
        try:
            if isinstance(scores, Exception):
                live = self._direct.registry.beside(model) if isinstance(scores, UnusableError) else None
                if live is None:
                    raise scores
                self._ask(live)  # nobody has to suffer from a bad canary
                return
            self._model = model
            self._note["version"], self._note["rows"] = model.version, len(scores)
            answer = question.answer(scores)
            reply = reply_of(answer, encoding_of(answer, self._headers))
        except Exception as error:
            reply = failure(error, named(self._path, self._note))
        self._end(reply)

    def _end(self, reply: Reply) -> None:
        if self._entry is not None:
            reply.headers.append(self._entry.header)
        self._exchange.reply(reply)
        if self._known:
            self._model.metrics.request(reply.status, monotonic() - self._start)
        if self._entry is not None:
            self._entry.write("POST", self._path, reply.status, self._exchange.client)
