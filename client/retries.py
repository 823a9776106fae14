"""When to ask a busy server again.

All who are refused together must not come again together, so how long each waits is drawn at random ("full jitter",
https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
"""

import random
import ssl
from collections.abc import Callable

import httpx

from thimble.client.answers import sentence

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
# A server says in whole seconds when to come again. Those whom it told the same spread over the second after that.
RETRY_AFTER_STEP = 1.0
# 502 is what a proxy says that has lost the server, be it in words that somebody gave it.
BUSY = (429, 502, 503)
# What a proxy says in its own words may change, but for these: what it cannot do, it cannot do later either.
NEVER = (501, 505)

Outcome = httpx.Response | httpx.TransportError


def may_change(outcome: Outcome) -> bool:
    """Whether the server may have another answer later. Scoring changes nothing, so it may safely be asked twice."""
    if isinstance(outcome, httpx.LocalProtocolError | httpx.UnsupportedProtocol):
        return False  # it was never sent
    if isinstance(outcome, httpx.TransportError):
        return not (_untrusted(outcome) or _refused_by_proxy(outcome))
    status = outcome.status_code
    return status in BUSY or (status >= 500 and status not in NEVER and sentence(outcome) is None)


def asked_to_wait(outcome: Outcome) -> float | None:
    """Seconds in which the server says to come again, None if it does not."""
    said = "" if isinstance(outcome, httpx.TransportError) else outcome.headers.get("retry-after", "")
    return float(said) if said.isascii() and said.isdigit() else None


def pause(attempt: int, retry_after: float | None, draw: Callable[[float, float], float] = random.uniform) -> float:
    """Seconds until the next attempt, after `attempt` others before the one that was refused just now.

    Where the server said in how many seconds to come again, it is never sooner than that. `draw` takes the bounds of
    what it draws from.
    """
    window = min(FIRST_PAUSE * 2 ** min(attempt, 30), LONGEST_PAUSE)
    if retry_after is None:
        return draw(0, window)
    return retry_after + draw(0, max(window, RETRY_AFTER_STEP))


class Retries:
    """The attempts at one request, for at most `patience` seconds in all. It neither asks nor sleeps.

    What counts is the time that attempts take and the time between them; not how long they wait for their turn.
    """

    def __init__(self, patience: float) -> None:
        self._left = patience
        self._attempt = 0

    def next_pause(self, took: float, retry_after: float | None) -> float | None:
        """Seconds until the next attempt, None if patience would be at its end by then. The last one `took` seconds."""
        seconds = pause(self._attempt, retry_after)
        self._attempt += 1
        self._left -= took + seconds
        return seconds if self._left >= 0 else None


def _refused_by_proxy(error: httpx.TransportError) -> bool:
    """Whether a proxy on the way lets nobody through, as without a password: its status is all that is told of it."""
    return isinstance(error, httpx.ProxyError) and str(error).startswith("4")


def _untrusted(error: BaseException) -> bool:
    """Whether it is TLS that failed, as with a certificate that is not trusted; not that the connection broke."""
    cause = error.__context__
    if isinstance(cause, ssl.SSLError):
        return not isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError)
    return cause is not None and _untrusted(cause)
