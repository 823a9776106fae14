"""When to ask a busy server again.

All who are refused together must not come again together, so how long each waits is drawn at random ("full jitter",
https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
"""

import random
from collections.abc import Callable
from time import monotonic

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
# A server says in whole seconds when to come again. Those whom it told the same spread over the second after that.
RETRY_AFTER_STEP = 1.0


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
    """The attempts at one request, for at most `patience` seconds in all. It neither asks nor sleeps."""

    def __init__(self, patience: float) -> None:
        self._ends = monotonic() + patience
        self._attempt = 0

    def next_pause(self, retry_after: float | None) -> float | None:
        """Seconds until the next attempt, None if patience would be at its end by then."""
        seconds = pause(self._attempt, retry_after)
        self._attempt += 1
        return seconds if monotonic() + seconds <= self._ends else None
