"""What a request is answered: scores as bytes, or why there are none."""

import logging
from typing import NamedTuple

from thimble.models.hashing import Floats
from thimble.service.engine.outcomes import ClientGoneError, Reason, RefusedError, UnusableError
from thimble.service.errors import RequestError
from thimble.service.http.bodies import DisconnectedError
from thimble.service.http.headers import Headers, accepted_encoding
from thimble.service.http.replies import Reply
from thimble.service.releases.loader import Model
from thimble.service.wire import compression, inference, rows
from thimble.service.wire.outputs import Outputs, Picked

HEADER_LENGTH = b"inference-header-content-length"
# What fits into a packet anyway is not compressed.
SMALLEST_COMPRESSED = 1400
CLIENT_GONE = 499  # nginx's number for it; nobody reads it, it appears in the access log and the metrics
# Of what the queue refuses.
STATUSES: dict[Reason, int] = {"queue_full": 429, "would_be_late": 429, "timeout": 504, "engine_failing": 503}
log = logging.getLogger("thimble")


class Answer(NamedTuple):
    """Scores as they are told. `header_length` is the bytes of JSON before binary scores."""

    body: bytes
    content_type: bytes
    header_length: int | None = None


def scored(model: Model, outputs: Outputs, picked: Picked, scores: Floats) -> Answer:
    """Scores [rows] or [rows, heads] of a version, those that were picked, as JSON."""
    return Answer(rows.answer(model.name, model.version, outputs.told(scores, picked)), b"application/json")


def inferred(model: Model, asked: inference.Inference, scores: Floats) -> Answer:
    """Scores [rows] or [rows, heads] of a version, in the Open Inference Protocol."""
    content, length = inference.answer(model.name, model.version, asked, scores, model.spec.outputs)
    kind = b"application/json" if length is None else b"application/octet-stream"
    return Answer(content, kind, length)


def encoding_of(answer: Answer, headers: Headers) -> bytes | None:
    """How the client wants it compressed, None if it does not, or it would not pay."""
    wanted = headers.get(b"accept-encoding")
    return None if wanted is None or len(answer.body) < SMALLEST_COMPRESSED else accepted_encoding(wanted)


def reply_of(answer: Answer, encoding: bytes | None) -> Reply:
    """An answer as it is sent."""
    headers = [(b"content-type", answer.content_type)]
    if answer.header_length is not None:
        headers.append((HEADER_LENGTH, b"%d" % answer.header_length))
    if encoding is None:
        return Reply.of(200, headers, answer.body)
    headers += [(b"content-encoding", encoding), (b"vary", b"accept-encoding")]
    return Reply.of(200, headers, compression.compress(answer.body, encoding))


def failure(error: Exception, request: str) -> Reply:
    """What is answered instead of scores."""
    match error:
        case RequestError():
            return Reply.to(error)
        case RefusedError():
            return Reply.to(RequestError(STATUSES[error.reason], error.message, retry_after=error.retry_after))
        case UnusableError():
            return Reply.to(RequestError(500, str(error)))
        case DisconnectedError() | ClientGoneError():
            return Reply.of(CLIENT_GONE, [], b"")
    log.error("%s failed", request, exc_info=error)
    return Reply.to(RequestError(500, "internal error, see the server's log"))
