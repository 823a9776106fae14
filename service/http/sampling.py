"""Lines that an overload must not make more costly."""

import logging
from time import monotonic

from thimble.service.telemetry.metrics import LOG_LINES_LEFT_OUT

MOST_A_SECOND = 100
log = logging.getLogger("thimble")


class RefusalSample:
    """Which refusals at the connection have a line: so many a second. How many had none is told with the next."""

    def __init__(self) -> None:
        self._ends = 0.0
        self._taken = 0
        self._left_out = 0

    def takes(self) -> bool:
        """Whether one that is made now has a line."""
        now = monotonic()
        if now >= self._ends:
            self._ends, self._taken = now + 1, 0
            if self._left_out:
                log.info("%d more refusals have no line: at most %d a second do", self._left_out, MOST_A_SECOND)
                self._left_out = 0
        if self._taken < MOST_A_SECOND:
            self._taken += 1
            return True
        self._left_out += 1
        LOG_LINES_LEFT_OUT.inc()
        return False
