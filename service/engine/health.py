"""Notices a version that gives no usable scores."""

from collections.abc import Callable

# More than this share of so many rows, and a version is not fit to answer. A model as exported never gives a score that
# is not finite, so a few of them are enough; a single freak row is not.
SHARE = 0.01
WINDOW_ROWS = 1000


class HealthGuard:
    """Counts the rows that got no usable score, and reports once if they are too many of the latest."""

    def __init__(self, count: Callable[[int], None], on_unhealthy: Callable[[], None]) -> None:
        """`count` is told of each unusable row, `on_unhealthy` once that they are too many."""
        self._count = count
        self._on_unhealthy = on_unhealthy
        self._rows = self._unusable = 0
        self._reported = False

    def check(self, rows: int, unusable: int) -> None:
        """A batch was run, or failed, and so many of its rows have no usable score."""
        self._rows += rows
        if unusable:
            self._count(unusable)
            self._unusable += unusable
            if self._unusable > SHARE * max(self._rows, WINDOW_ROWS) and not self._reported:
                self._reported = True
                self._on_unhealthy()
        if self._rows >= WINDOW_ROWS:
            self._rows = self._unusable = 0
