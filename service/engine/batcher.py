"""The queue before an engine.

The event loop owns the queue, and runs short batches itself; long ones run in a thread. As soon as the engine is free
it gets what has waited meanwhile, up to a batch: there is no timer, so a lone request is never held back.

A request is refused at once when too many rows wait or when it cannot be ready in time, and dropped before it is
computed when its time is up or its client has gone. Scores that were computed are answered, late or not.

A batch on which the engine raises is scored again in the engine's thread (`recovery`), for as long as it takes. An
engine that is found to be broken gets no more, and all requests are refused, until it scores again what it should.
"""

import asyncio
import logging
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from time import monotonic
from typing import NamedTuple, Protocol, TypeVar

from thimble.models.features import Batch
from thimble.models.hashing import Floats
from thimble.service.engine.cost import Cost
from thimble.service.engine.evidence import finite_rows
from thimble.service.engine.outcomes import Done, RefusedError, UnusableError, counted, milliseconds, waiting
from thimble.service.engine.queue import Piece, Request, RequestQueue
from thimble.service.engine.recovery import Recovery, recover
from thimble.service.telemetry.metrics import BatchTimes

# When requests that a broken engine refused should come again: it is tried once a second.
RETRY_SECONDS = 1.0
ENGINE = "engine"
FAILING = "the engine fails on every row, also on those that it scored before; see the server's log"
Result = TypeVar("Result")
log = logging.getLogger("thimble")


class Runner(Protocol):
    """What scores batches: `fill` with parts of at most `batch_rows` rows together, then `run` these rows.

    `check` raises if it does not score rows of its own as it should. One thread at a time. A batch that is expected to
    take at most `inline_seconds` is run on the event loop itself, and full ones after it as long as they take no more
    together.
    """

    batch_rows: int
    inline_seconds: float

    def fill(self, parts: Sequence[Batch]) -> int: ...

    def run(self, rows: int) -> Floats: ...

    def check(self) -> None: ...


class Observer(Protocol):
    """Is told by the event loop what becomes of batches (`health.Health`)."""

    def batch(self, times: BatchTimes, not_finite: int) -> None: ...

    def not_finite(self, row: Batch, source: Hashable) -> None: ...

    def failed(self, requests: int, error: Exception) -> None: ...

    def poisoned(self, rows: int) -> None: ...

    def fault(self, error: Exception) -> None: ...


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

    def __init__(self, engine: Runner, cost: Cost, max_queued_rows: int, timeout: float, observer: Observer) -> None:
        """`timeout` is in seconds, for requests that bring none."""
        self._engine = engine
        self._cost = cost
        self._max_queued_rows = max_queued_rows
        self._timeout = timeout
        self._observer = observer
        self._thread = ThreadPoolExecutor(1, "engine")
        self._thread.submit(int)  # starts it: when it is needed, there may be no memory for it
        self._queue = RequestQueue()
        self._busy = False
        self._free_at = 0.0
        self.faults: dict[str, str] = {}
        """Why nothing is scored now, a sentence each, by what is at fault."""

    @property
    def queued_rows(self) -> int:
        return self._queue.rows

    def submit(
        self,
        batch: Batch,
        timeout: float | None,
        gone: Callable[[], bool],
        done: Done,
        source: Hashable = None,
    ) -> None:
        """Have rows of a client, `source`, scored within `timeout` seconds. `gone` says whether the client has left.

        `done` is told the probabilities, float32 [rows] or [rows, heads], or why there are none: RefusedError, the time
        was up before they were scored, or the engine has failed; UnusableError, the model fails on these rows or gave a
        score that is no number; ClientGoneError.

        RefusedError: the rows are refused at once, and `done` is told nothing.
        """
        if self.faults:
            raise self._refusal()
        rows, now = batch.rows, monotonic()
        timeout = self._timeout if timeout is None else timeout
        if (full := self.full()) is not None:
            raise full
        self._check_time(rows, now, timeout)
        self._queue.add(Request(batch, rows, now, now + timeout, gone, done, source))
        if not self._busy:
            self._busy = True
            self._dispatch_soon(asyncio.get_running_loop())

    async def try_again(self) -> None:
        """Take requests again if the engine, which failed, scores what it should. Raises what the engine does."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._engine.check)
        self.accept(ENGINE)

    def refuse(self, cause: str, sentence: str) -> None:
        """Score nothing, also of what waits, until `accept` of this cause."""
        self.faults[cause] = sentence
        for request in self._queue.clear():
            request.end(self._refusal())

    def accept(self, cause: str) -> None:
        """Score again, if nothing else is at fault."""
        self.faults.pop(cause, None)

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
            self._in_thread(loop, partial(self._compute, pieces), partial(self._finish, loop, pieces))
        else:
            self._run_inline(loop, pieces, seconds)

    def _run_inline(self, loop: asyncio.AbstractEventLoop, pieces: list[Piece], seconds: float) -> None:
        left = self._engine.inline_seconds
        failed = False
        try:
            while pieces:
                try:
                    computed = self._compute(pieces)
                except Exception as error:  # ORT has no public base class for its errors
                    failed = True
                    self._recover(loop, pieces, error)
                    break
                self._give(pieces, computed)
                left -= seconds
                # A model leaves none of this code in the caches, so to look at many requests at once costs less.
                go_on = seconds <= left and self.queued_rows >= self._engine.batch_rows
                pieces = self._next_batch() if go_on else []
        finally:
            if not failed:
                self._dispatch_soon(loop)

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

    def _in_thread(
        self, loop: asyncio.AbstractEventLoop, work: Callable[[], Result], then: Callable[[Future[Result]], None]
    ) -> None:
        """Have something done in the engine's thread, and go on with what came of it."""
        self._thread.submit(work).add_done_callback(lambda done: loop.call_soon_threadsafe(then, done))

    def _finish(self, loop: asyncio.AbstractEventLoop, pieces: list[Piece], computed: Future[_Computed]) -> None:
        error = computed.exception()
        if isinstance(error, Exception):
            self._recover(loop, pieces, error)
            return
        try:
            self._give(pieces, computed.result())
        finally:
            self._dispatch(loop)

    def _recover(self, loop: asyncio.AbstractEventLoop, pieces: list[Piece], error: Exception) -> None:
        """Score a batch again on which the engine raised. Nothing else is run meanwhile."""
        self._observer.failed(len(pieces), error)
        self._in_thread(
            loop,
            partial(recover, self._compute, self._engine.check, pieces),
            partial(self._finish_recovery, loop, pieces),
        )

    def _finish_recovery(
        self, loop: asyncio.AbstractEventLoop, pieces: list[Piece], recovered: Future[Recovery[_Computed]]
    ) -> None:
        try:
            try:
                recovery = recovered.result()
            except Exception as error:  # there was not even the memory to try
                recovery = Recovery(fault=error)
            for together, computed in recovery.scored:
                self._give(together, computed)
            for request, start, stop in recovery.poison:
                if not request.over:
                    self._observer.poisoned(stop - start)
                    request.end(UnusableError("the model fails on these rows, see the server's log"))
            if recovery.fault is not None:
                self._fail([piece.request for piece in pieces], recovery.fault)
        finally:
            self._dispatch(loop)

    def _fail(self, requests: list[Request], error: Exception) -> None:
        """The engine is broken: refuse these requests and all that wait."""
        self.refuse(ENGINE, FAILING)
        for request in requests:
            if not request.over:
                request.end(self._refusal())
        self._observer.fault(error)

    def _give(self, pieces: list[Piece], computed: _Computed) -> None:
        """Give each request its scores."""
        parts, scores, start, filled, ran = computed
        finite = finite_rows(scores)
        all_finite = bool(finite.all())
        at = 0
        for request, first, last in pieces:
            end = at + last - first
            if not request.over:
                if not all_finite and not finite[at:end].all():
                    row = first + int(finite[at:end].argmin())
                    self._observer.not_finite(request.batch.part(row, row + 1), request.source)
                    request.end(UnusableError("the model gave a score that is not a number"))
                elif last - first == request.rows:
                    request.end(scores[at:end])
                else:
                    request.add(first, scores[at:end])
            at = end
        self._cost.learn(at, ran - start)
        waited = [start - request.arrived for request, first, _ in pieces if first == 0]
        times = BatchTimes(at, len(pieces), self.queued_rows, waited, filled - start, ran - filled, monotonic() - ran)
        self._observer.batch(times, 0 if all_finite else at - int(finite.sum()))
        if self.mirror is not None:
            self.mirror(parts, scores)

    def _refusal(self) -> RefusedError:
        return RefusedError("engine_failing", next(iter(self.faults.values())), RETRY_SECONDS)
