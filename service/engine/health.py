"""What the batches of a version say of it and of its engine: it is counted and logged, and reported if it is bad."""

import logging
from collections.abc import Callable, Hashable
from time import monotonic

from thimble.models.features import Batch
from thimble.service.engine.evidence import Evidence
from thimble.service.telemetry.metrics import BatchTimes, ModelMetrics

# Between two lines on batches that failed: whoever sends rows on which the engine raises must not fill the log.
LOG_SECONDS = 10.0
log = logging.getLogger("thimble")


class Health:
    """Judges a version by its batches. For the event loop."""

    def __init__(
        self,
        name: str,
        metrics: ModelMetrics,
        on_suspicion: Callable[[Batch], None],
        on_fault: Callable[[Exception], None],
    ) -> None:
        """`name` is the version's, in the log.

        `on_suspicion` is told that it gives no finite scores, with some such rows of several clients: it is `suspected`
        until `clear`, and that is not told again. `on_fault` is told that the engine scores nothing any more, and why.
        """
        self._name = name
        self._metrics = metrics
        self._on_suspicion = on_suspicion
        self._on_fault = on_fault
        self._evidence = Evidence()
        self.suspected = False
        self._next_line = 0.0
        self._unsaid = 0

    def batch(self, times: BatchTimes, not_finite: int) -> None:
        """A batch was scored, and so many of its rows got no finite score."""
        self._metrics.batch(times)
        self._evidence.count(len(times.waited))
        if not_finite:
            self._metrics.unusable(not_finite)

    def not_finite(self, row: Batch, source: Hashable) -> None:
        """A request of this client fails, as it got no finite score for this row."""
        if self.suspected:
            return
        rows = self._evidence.add(row, source)
        if rows is not None:
            self.suspected = True
            self._on_suspicion(rows)

    def clear(self) -> None:
        """What spoke against the version is dealt with: from now on it is judged anew."""
        self._evidence.clear()
        self.suspected = False

    def failed(self, requests: int, error: Exception) -> None:
        """The engine raised on a batch of so many requests."""
        self._metrics.engine_failed()
        now = monotonic()
        if now < self._next_line:
            self._unsaid += 1
            return
        more = f"; so did {self._unsaid} more batches since that was said last" if self._unsaid else ""
        log.error("a batch of %d requests failed in %s and is tried again: %s%s", requests, self._name, error, more)
        self._next_line, self._unsaid = now + LOG_SECONDS, 0

    def poisoned(self, rows: int) -> None:
        """The engine raises on a request's rows alone, and on no others: so many are not scored."""
        self._metrics.unusable(rows)

    def fault(self, error: Exception) -> None:
        """The engine raises on rows that it has scored."""
        self._on_fault(error)
