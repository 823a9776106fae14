"""The queue before an engine.

The event loop owns the queue, and runs short batches itself; long ones run in a thread. As soon as the engine is free
it gets what has waited meanwhile, up to a batch: there is no timer, so a lone request is never held back. Requests are
served in the order in which they came; one that is larger than a batch goes to the end of the queue after each of its
batches.

A request is refused at once when too many rows wait or when it cannot be ready in time, and dropped before it is
computed when its time is up or its client has gone. Scores that were computed are answered, late or not.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import NamedTuple, Protocol

import numpy as np

from thimble.models.features import Batch
from thimble.models.hashing import Floats
from thimble.service.engine.cost import Cost
from thimble.service.errors import RequestError

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


class BatchTimes(NamedTuple):
    """A batch that was scored, times in seconds.

    `waited` has the requests of which it held the first rows, `queued` is how many rows wait behind it.
    """

    rows: int
    requests: int
    queued: int
    waited: list[float]
    fill: float
    run: float
    give: float


class UnusableError(RequestError):
    """The model gave no usable scores for these rows."""

    def __init__(self, message: str) -> None:
        super().__init__(500, message)


class ClientGoneError(Exception):
    """Whoever asked does not wait for the answer any more."""


Done = Callable[[Floats | Exception], None]
"""Takes what became of a request. It is called once, by the event loop, and must not raise."""


@dataclass(eq=False, slots=True)
class _Work:
    batch: Batch
    rows: int
    arrived: float
    deadline: float
    gone: Callable[[], bool]
    done: Done
    scores: Floats | None = None
    taken: int = 0
    scored: int = 0
    over: bool = False

    def end(self, result: Floats | Exception) -> None:
        self.over = True
        self.done(result)

    def add(self, first: int, scores: Floats) -> None:
        """Scores of some of its rows."""
        if self.scores is None:
            self.scores = np.empty(self.rows, np.float32)
        self.scores[first : first + len(scores)] = scores
        self.scored += len(scores)
        if self.scored == self.rows:
            self.end(self.scores)


class _Piece(NamedTuple):
    work: _Work
    start: int
    stop: int


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
        self._judge = check
        self._thread = ThreadPoolExecutor(1, "engine")
        self._queue: deque[_Work] = deque()
        self._busy = False
        self._free_at = 0.0
        self.queued_rows = 0

    async def score(
        self, batch: Batch, timeout: float | None = None, gone: Callable[[], bool] = lambda: False
    ) -> Floats:
        """Click probabilities, float32 [rows]. `timeout` is in seconds; `gone` says whether the client has left.

        RequestError: 429 too many rows wait, or would be ready too late; 504 time is up, or too short for these rows.
        UnusableError: the model failed, or gave a score that is no number.
        ClientGoneError: nobody waits for the answer.
        """
        answer: asyncio.Future[Floats] = asyncio.get_running_loop().create_future()

        def done(result: Floats | Exception) -> None:
            if answer.done():  # cancelled
                return
            if isinstance(result, Exception):
                answer.set_exception(result)
            else:
                answer.set_result(result)

        self.submit(batch, timeout, lambda: answer.done() or gone(), done)
        return await answer

    def submit(self, batch: Batch, timeout: float | None, gone: Callable[[], bool], done: Done) -> None:
        """Have rows scored. `done` is told the scores, or why there are none, as `score` would raise it.

        RequestError: they are refused at once, and `done` is told nothing.
        """
        rows, now = batch.rows, monotonic()
        timeout = self._timeout if timeout is None else timeout
        if (full := self.full()) is not None:
            raise full
        self._check_time(rows, now, timeout)
        self._queue.append(_Work(batch, rows, now, now + timeout, gone, done))
        self.queued_rows += rows
        if not self._busy:
            self._busy = True
            self._dispatch_soon(asyncio.get_running_loop())

    def full(self) -> RequestError | None:
        """429 if as many rows wait as may."""
        if self.queued_rows < self._max_queued_rows:
            return None
        surplus = self.queued_rows - self._max_queued_rows + 1
        return RequestError(
            429,
            f"{_waiting(self.queued_rows)}, {self._max_queued_rows} or more are too many",
            retry_after=self._cost.expected(surplus),
        )

    def _check_time(self, rows: int, now: float, timeout: float) -> None:
        alone = self._cost.at_best(rows)
        if alone > timeout:
            raise RequestError(504, f"{_rows(rows)} would take {_ms(alone)}, more than the timeout of {_ms(timeout)}")
        if not self._busy:
            return
        late = max(self._free_at - now, 0) + self._cost.expected(self.queued_rows + rows) - timeout
        if late > 0:
            raise RequestError(
                429,
                f"{_waiting(self.queued_rows)}, so {rows} more would not be ready within {_ms(timeout)}",
                retry_after=late,
            )

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

    def _next_batch(self) -> list[_Piece]:
        pieces: list[_Piece] = []
        room, now = self._engine.batch_rows, monotonic()
        while room and self._queue:
            work = self._queue.popleft()
            left = work.rows - work.taken
            if not self._wanted(work, now):
                self.queued_rows -= left
                continue
            taken = min(room, left)
            pieces.append(_Piece(work, work.taken, work.taken + taken))
            work.taken += taken
            room -= taken
            self.queued_rows -= taken
            if taken < left:
                self._queue.append(work)
        return pieces

    def _wanted(self, work: _Work, now: float) -> bool:
        if work.over:  # a batch before failed
            return False
        if work.gone():
            work.end(ClientGoneError())
        elif now >= work.deadline:
            message = f"the timeout of {_ms(work.deadline - work.arrived)} passed before all rows were scored"
            work.end(RequestError(504, message))
        return not work.over

    def _compute(self, pieces: list[_Piece]) -> _Computed:
        """Runs on the event loop or in the engine's thread, never in both at once."""
        start = monotonic()
        parts = [_part(piece) for piece in pieces]
        rows = self._engine.fill(parts)
        filled = monotonic()
        scores = self._engine.run(rows)
        return _Computed(parts, scores, start, filled, monotonic())

    def _finish(self, loop: asyncio.AbstractEventLoop, pieces: list[_Piece], computed: Future[_Computed]) -> None:
        try:
            self._give(pieces, computed.result)
        finally:
            self._dispatch(loop)

    def _give(self, pieces: list[_Piece], result: Callable[[], _Computed]) -> None:
        """Give each request its scores, or all of them the error."""
        try:
            parts, scores, start, filled, ran = result()
        except Exception as error:  # ORT has no public base class for its errors
            log.error("a batch of %d requests failed: %s", len(pieces), error)
            for work in {piece.work for piece in pieces if not piece.work.over}:
                work.end(UnusableError("the model failed on this batch, see the server's log"))
            rows = sum(piece.stop - piece.start for piece in pieces)
            self._judge(rows, rows)
            return
        finite = np.isfinite(scores)
        all_finite = bool(finite.all())
        at = 0
        for work, first, last in pieces:
            end = at + last - first
            if not work.over:
                if not all_finite and not finite[at:end].all():
                    work.end(UnusableError("the model gave a score that is not a number"))
                elif last - first == work.rows:
                    work.end(scores[at:end])
                else:
                    work.add(first, scores[at:end])
            at = end
        self._cost.learn(at, ran - start)
        waited = [start - work.arrived for work, first, _ in pieces if first == 0]
        self._record(
            BatchTimes(at, len(pieces), self.queued_rows, waited, filled - start, ran - filled, monotonic() - ran)
        )
        self._judge(at, 0 if all_finite else at - int(finite.sum()))
        if self.mirror is not None:
            self.mirror(parts, scores)


def _part(piece: _Piece) -> Batch:
    work, start, stop = piece
    return work.batch if stop - start == work.rows else work.batch.part(start, stop)


def _ms(seconds: float) -> str:
    return f"{float(f'{seconds * 1e3:.3g}'):g} ms"


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _waiting(rows: int) -> str:
    return f"{_rows(rows)} {'is' if rows == 1 else 'are'} waiting"
