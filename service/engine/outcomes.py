"""What becomes of rows that get no scores, and why, in one sentence."""

from collections.abc import Callable
from typing import Literal

from thimble.models.hashing import Floats

Reason = Literal["queue_full", "would_be_late", "timeout"]
"""Too many rows wait; these would be ready too late; their timeout is too short for them, or has passed."""


class RefusedError(Exception):
    """The rows are not scored, for want of room or of time. `retry_after`: seconds until there should be room."""

    def __init__(self, reason: Reason, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.message = message
        self.retry_after = retry_after


class UnusableError(Exception):
    """The model gave no usable scores for these rows."""


class ClientGoneError(Exception):
    """Whoever asked does not wait for the answer any more."""


Done = Callable[[Floats | Exception], None]
"""Takes what became of a request. It is called once, by the event loop, and must not raise."""


def queue_full(waiting: int, limit: int, retry_after: float) -> RefusedError:
    """As many rows wait as may, or more."""
    return RefusedError("queue_full", f"{_waiting(waiting)}, {limit} or more are too many", retry_after)


def would_be_late(waiting: int, rows: int, timeout: float, late: float) -> RefusedError:
    """Behind those that wait, rows would be ready so many seconds too late."""
    message = f"{_waiting(waiting)}, so {rows} more would not be ready within {_ms(timeout)}"
    return RefusedError("would_be_late", message, late)


def takes_too_long(rows: int, seconds: float, timeout: float) -> RefusedError:
    """Rows take longer than their timeout even when nothing else is going on."""
    return RefusedError("timeout", f"{_rows(rows)} would take {_ms(seconds)}, more than the timeout of {_ms(timeout)}")


def expired(timeout: float) -> RefusedError:
    """The timeout passed while rows waited."""
    return RefusedError("timeout", f"the timeout of {_ms(timeout)} passed before all rows were scored")


def _ms(seconds: float) -> str:
    return f"{float(f'{seconds * 1e3:.3g}'):g} ms"


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _waiting(rows: int) -> str:
    return f"{_rows(rows)} {'is' if rows == 1 else 'are'} waiting"
