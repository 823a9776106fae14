"""How long an engine will take, from how long it took."""

from collections.abc import Callable
from time import perf_counter, sleep

# Runs of each size at the start, of which the fastest counts. The first pays for what is never done again; and after
# one that was held up, requests with a shorter timeout would all be refused, and no batch would teach better.
TRIALS = 3
# How far one batch may move what is expected of the next: one that was held up says little, many in a row say all.
STEP = 1.05


class Cost:
    """Seconds to score rows: a share a batch and a share a row, measured at the start and corrected ever since."""

    def __init__(self, batch_rows: int, one_row: float, full_batch: float) -> None:
        """`one_row` and `full_batch` are the seconds that batches of 1 and of `batch_rows` rows took."""
        self._batch_rows = batch_rows
        self._a_row = max(full_batch - one_row, 0) / (batch_rows - 1) if batch_rows > 1 else 0.0
        self._a_batch = max(one_row - self._a_row, 0)
        self._ratio = self._best = 1.0

    def learn(self, rows: int, seconds: float) -> None:
        """A batch took so long."""
        ratio = seconds / max(self._planned(rows), 1e-9)
        self._ratio = min(max(ratio, self._ratio / STEP), self._ratio * STEP)
        self._best = min(self._best, ratio)

    def expected(self, rows: int) -> float:
        """Seconds that rows take as things are."""
        return self._planned(rows) * self._ratio

    def at_best(self, rows: int) -> float:
        """Seconds that rows took when nothing else was going on."""
        return self._planned(rows) * self._best

    def _planned(self, rows: int) -> float:
        return -(-rows // self._batch_rows) * self._a_batch + rows * self._a_row


def measured(batch_rows: int, run: Callable[[int], object], pause: float = 0) -> Cost:
    """The cost of an engine, by running batches of 1 and of `batch_rows` rows, with so many seconds before each."""
    return Cost(batch_rows, *(min(_seconds(run, rows, pause) for _ in range(TRIALS)) for rows in (1, batch_rows)))


def _seconds(run: Callable[[int], object], rows: int, pause: float) -> float:
    sleep(pause)
    start = perf_counter()
    run(rows)
    return perf_counter() - start
