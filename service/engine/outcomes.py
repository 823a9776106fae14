"""What becomes of rows that get no scores, and why, in one sentence."""

from collections.abc import Callable
from typing import Literal

from thimble.models.hashing import Floats

Reason = Literal["queue_full", "would_be_late", "timeout", "engine_failing"]
"""Too many rows wait; these would be ready too late; their timeout is too short for them, or has passed; the engine
scores nothing now, whatever it is given."""


class RefusedError(Exception):
    """The rows are not scored, for want of room, of time or of an engine. `retry_after`: when to come, in seconds."""

    def __init__(self, reason: Reason, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.message = message
        self.retry_after = retry_after


def late(timeout: float) -> RefusedError:
    """The refusal of a request whose timeout, in seconds, is over."""
    return RefusedError("timeout", f"the timeout of {milliseconds(timeout)} passed before all rows were scored")


class UnusableError(Exception):
    """The model gave no usable scores for these rows, or fails on them."""


class ClientGoneError(Exception):
    """Whoever asked does not wait for the answer any more."""


Done = Callable[[Floats | Exception], None]
"""Takes what became of a request. It is called once, by the event loop, and must not raise."""


def milliseconds(seconds: float) -> str:
    return f"{float(f'{seconds * 1e3:.3g}'):g} ms"


def counted(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows} rows"


def waiting(rows: int) -> str:
    return f"{counted(rows)} {'is' if rows == 1 else 'are'} waiting"
