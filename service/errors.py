"""What a client did wrong or cannot have now, in one sentence that names the culprit."""

import errno
from http import HTTPStatus
from math import ceil

import orjson

UNAUTHORIZED = int(HTTPStatus.UNAUTHORIZED)
# When to ask again for what the server could not do.
RETRY_SECONDS = 1.0
# What is wrong with a file itself. Any other error says something of the process, the machine or the disk, and passes.
_OF_THE_FILE = {
    errno.EACCES,
    errno.EFBIG,
    errno.EINVAL,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENODEV,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.ENXIO,
    errno.EPERM,
}


class RequestError(Exception):
    """Answered as {"error": message} with this status.

    `retry_after` is in seconds; `allow` is the method for a 405. `unread`: the body was not read to its end, so the
    connection is closed.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        retry_after: float | None = None,
        allow: str | None = None,
        unread: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers: dict[str, str] = {}
        if retry_after is not None:
            self.headers["retry-after"] = str(max(ceil(retry_after), 1))
        if allow is not None:
            self.headers["allow"] = allow
        if unread:
            self.headers["connection"] = "close"
        if status == UNAUTHORIZED:
            self.headers["www-authenticate"] = "Bearer"

    @property
    def body(self) -> bytes:
        return error_body(self.message)


class StartupError(Exception):
    """Why the server cannot start, in one sentence."""


class UnavailableError(Exception):
    """Why something cannot be done now, in one sentence. Nothing is wrong with what was asked for: try it again."""


class FatalError(Exception):
    """Why the process cannot go on and has to be replaced, in one sentence."""


class UnfinishedError(Exception):
    """What was not answered when the time to stop was over, in one sentence."""


def passing(error: OSError) -> bool:
    """Whether it may be gone at the next try, as too many open files, no memory or a disk that fails may be."""
    return error.errno not in _OF_THE_FILE


def error_body(message: str) -> bytes:
    return orjson.dumps({"error": message})
