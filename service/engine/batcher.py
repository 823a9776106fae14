"""The queue before an engine.

The event loop owns the queue, and runs short batches itself; long ones run in a thread. As soon as the engine is free
it gets what has waited meanwhile, up to a batch: there is no timer, so a lone request is never held back.

A request is refused at once when too many rows wait or when it cannot be ready in time, and dropped before it is
computed when its time is up or its client has gone. Scores that were computed are answered, late or not.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from time import monotonic
from typing import NamedTuple, Protocol

import numpy as np

from thimble.models.features import Batch
from thimble.models.hashing import Floats
from thimble.service.engine.cost import Cost
from thimble.service.engine.outcomes import Done, RefusedError, UnusableError, counted, milliseconds, waiting
from thimble.service.engine.queue import Piece, Request, RequestQueue
from thimble.service.telemetry.metrics import BatchTimes

log = logging.getLogger("thimble")


class Runner(Protocol):
    """What scores batches: `fill` with parts of at most `batch_rows` rows together, then `run` these rows.

    One thread at a time. A batch that is expected to take at most `inline_seconds` is run on the event loop itself,
    and full ones after it as long as they take no more together.
    """

    batch_rows: int
    inline_seconds: float

    def fill(self, parts: Sequence[Batch]) -> int: ...

    def run(self, rows: int) -> Floats: ...


class _Computed(NamedTuple):
    """A batch's parts and scores, and when it was begun, filled in and run."""

    parts: list[Batch]
    scores: Floats
    start: float
    filled: float
    ran: float


class Batcher:
    """Scores requests on an engine, together where they come together."""

    mirror: Callable[[Sequence[Batch], Floats], None] | None = None
    """Shown every batch, in the parts that it was made of, and its scores."""

    def __init__(
        self,
        engine: Runner,
        cost: Cost,
        max_queued_rows: int,
        timeout: float,
        record: Callable[[BatchTimes], None],
        check: Callable[[int, int], None],
    ) -> None:
        """`timeout` is in seconds, for requests that bring none.

        `record` is told of every batch that was scored, and `check` of every batch how many rows it had and how many of
        them got no usable score.
        """
        self._engine = engine
        self._cost = cost
        self._max_queued_rows = max_queued_rows
        self._timeout = timeout
        self._record = record
        self._check = check
        self._thread = ThreadPoolExecutor(1, "engine")
        self._queue = RequestQueue()
        self._busy = False
        self._free_at = 0.0

    @property
    def queued_rows(self) -> int:
        return self._queue.rows

    def submit(self, batch: Batch, timeout: float | None, gone: Callable[[], bool], done: Done) -> None:
        """Have rows scored within `timeout` seconds. `gone` says whether the client has left.

        `done` is told the click probabilities, float32 [rows], or why there are none: RefusedError, the time was up
        before they were scored; UnusableError, the model failed or gave a score that is no number; ClientGoneError.

        RefusedError: the rows are refused at once, and `done` is told nothing.
        """
        rows, now = batch.rows, monotonic()
        timeout = self._timeout if timeout is None else timeout
        if (full := self.full()) is not None:
            raise full
        self._check_time(rows, now, timeout)
        self._queue.add(Request(batch, rows, now, now + timeout, gone, done))
        if not self._busy:
            self._busy = True
            self._dispatch_soon(asyncio.get_running_loop())

    def full(self) -> RefusedError | None:
        """Why any rows would be refused now: as many wait as may."""
        queued, limit = self.queued_rows, self._max_queued_rows
        if queued < limit:
            return None
        message = f"{waiting(queued)}, {limit} or more are too many"
        return RefusedError("queue_full", message, self._cost.expected(queued - limit + 1))

    def _check_time(self, rows: int, now: float, timeout: float) -> None:
        alone = self._cost.at_best(rows)
        if alone > timeout:
            message = (
                f"{counted(rows)} would take {milliseconds(alone)}, more than the timeout of {milliseconds(timeout)}"
            )
            raise RefusedError("timeout", message)
        if not self._busy:
            return
        late = max(self._free_at - now, 0) + self._cost.expected(self.queued_rows + rows) - timeout
        if late > 0:
            message = f"{waiting(self.queued_rows)}, so {rows} more would not be ready within {milliseconds(timeout)}"
            raise RefusedError("would_be_late", message, late)

    def _dispatch_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        """After one look at the sockets, so that requests whose bytes are there go along, if there is room for them."""
        if self.queued_rows < self._engine.batch_rows:
            loop.call_soon(loop.call_soon, self._dispatch, loop)
        else:
            loop.call_soon(self._dispatch, loop)

    def _dispatch(self, loop: asyncio.AbstractEventLoop) -> None:
        pieces = self._next_batch()
        self._busy = bool(pieces)
        if not pieces:
            return
        seconds = self._cost.expected(sum(piece.stop - piece.start for piece in pieces))
        self._free_at = monotonic() + seconds
        if seconds > self._engine.inline_seconds:
            computed = self._thread.submit(self._compute, pieces)
            computed.add_done_callback(lambda _: loop.call_soon_threadsafe(self._finish, loop, pieces, computed))
            return
        self._dispatch_soon(loop)
        left = self._engine.inline_seconds
        while pieces:
            self._give(pieces, partial(self._compute, pieces))
            left -= seconds
            # A model leaves none of this code in the caches, so to look at many requests at once costs less.
            go_on = seconds <= left and self.queued_rows >= self._engine.batch_rows
            pieces = self._next_batch() if go_on else []

    def _next_batch(self) -> list[Piece]:
        return self._queue.take(self._engine.batch_rows, monotonic())

    def _compute(self, pieces: list[Piece]) -> _Computed:
        """Runs on the event loop or in the engine's thread, never in both at once."""
        start = monotonic()
        parts = [piece.batch for piece in pieces]
        rows = self._engine.fill(parts)
        filled = monotonic()
        scores = self._engine.run(rows)
        return _Computed(parts, scores, start, filled, monotonic())

    def _finish(self, loop: asyncio.AbstractEventLoop, pieces: list[Piece], computed: Future[_Computed]) -> None:
        try:
            self._give(pieces, computed.result)
        finally:
            self._dispatch(loop)

    def _give(self, pieces: list[Piece], result: Callable[[], _Computed]) -> None:
        """Give each request its scores, or all of them the error."""
        try:
            parts, scores, start, filled, ran = result()
        except Exception as error:  # ORT has no public base class for its errors
            log.error("a batch of %d requests failed: %s", len(pieces), error)
            for request in {piece.request for piece in pieces if not piece.request.over}:
                request.end(UnusableError("the model failed on this batch, see the server's log"))
            rows = sum(piece.stop - piece.start for piece in pieces)
            self._check(rows, rows)
            return
        finite = np.isfinite(scores)
        all_finite = bool(finite.all())
        at = 0
        for request, first, last in pieces:
            end = at + last - first
            if not request.over:
                if not all_finite and not finite[at:end].all():
                    request.end(UnusableError("the model gave a score that is not a number"))
                elif last - first == request.rows:
                    request.end(scores[at:end])
                else:
                    request.add(first, scores[at:end])
            at = end
        self._cost.learn(at, ran - start)
        waited = [start - request.arrived for request, first, _ in pieces if first == 0]
        self._record(
            BatchTimes(at, len(pieces), self.queued_rows, waited, filled - start, ran - filled, monotonic() - ran)
        )
        self._check(at, 0 if all_finite else at - int(finite.sum()))
        if self.mirror is not None:
            self.mirror(parts, scores)
