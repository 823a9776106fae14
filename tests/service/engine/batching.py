"""A queue before an engine that a test can hold up, and whose score of a row is the row's first id."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any

import numpy as np
import pytest

from thimble.models.features import Batch
from thimble.models.hashing import Floats
from thimble.service.engine.batcher import Batcher
from thimble.service.engine.batcher import Observer as BatchObserver
from thimble.service.engine.cost import Cost
from thimble.service.engine.outcomes import RefusedError
from thimble.service.telemetry.metrics import BatchTimes

BATCH_ROWS = 256
POISON = 666
BESIDE = 0.002  # a batch that costs so much is run in the engine's thread


class Engine:
    """Runs batches as long as it is let to; `batches` is what it ran.

    It raises on `POISON`, and on everything, its own rows too, while it is `broken`; `failures` times on anything else.
    """

    batch_rows = BATCH_ROWS
    inline_seconds = 0.001

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.begun = threading.Semaphore(0)
        self.allowed = threading.Semaphore(0)
        self.held = self.broken = False
        self.failures = 0
        self.checks = 0
        self._rows: list[int] = []

    def fill(self, parts: Sequence[Batch]) -> int:
        self._rows = [int(i) for part in parts for i in part.ids[:, 0]]
        return len(self._rows)

    def run(self, rows: int) -> Floats:
        self.batches.append(self._rows[:rows])
        self.begun.release()
        if self.held:
            assert self.allowed.acquire(timeout=30)
        if self.failures:
            self.failures -= 1
            raise RuntimeError("the engine hiccuped")
        if self.broken or POISON in self._rows[:rows]:
            raise RuntimeError("the engine choked")
        return np.array(self._rows[:rows], np.float32)

    def check(self) -> None:
        self.checks += 1
        if self.broken:
            raise RuntimeError("the engine choked on its own rows")

    @property
    def rows_run(self) -> int:
        return sum(map(len, self.batches))


class Observer:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.batches: list[BatchTimes] = []
        self.rows_not_finite = 0
        self.evidence: list[tuple[list[int], Hashable]] = []
        self.failed_batches: list[int] = []
        self.poisoned_rows = 0
        self.faults: list[str] = []

    def batch(self, times: BatchTimes, not_finite: int) -> None:
        self.batches.append(times)
        self.rows_not_finite += not_finite

    def not_finite(self, row: Batch, source: Hashable) -> None:
        self.evidence.append((row.ids[:, 0].tolist(), source))

    def failed(self, requests: int, error: Exception) -> None:
        self.failed_batches.append(requests)

    def poisoned(self, rows: int) -> None:
        self.poisoned_rows += rows

    def fault(self, error: Exception) -> None:
        self.faults.append(str(error))


def rows_of(*ids: int) -> Batch:
    return Batch(np.zeros((len(ids), 1), np.float32), np.array(ids, np.int64)[:, None])


def numbered(rows: int, first: int = 1000) -> Batch:
    return rows_of(*range(first, first + rows))


def batcher_of(
    engine: Engine, seconds: float = BESIDE, observer: BatchObserver | None = None, **limits: Any
) -> Batcher:
    """A batcher that expects every batch to take `seconds`."""
    limits = {"max_queued_rows": 100_000, "timeout": 30.0} | limits
    return Batcher(engine, Cost(BATCH_ROWS, seconds, seconds), observer=observer or Observer(), **limits)


async def score(
    batcher: Batcher,
    batch: Batch,
    timeout: float | None = None,
    gone: Callable[[], bool] = lambda: False,
    source: Hashable = None,
) -> Floats:
    """Submit rows and wait for their scores, until cancelled."""
    answer: asyncio.Future[Floats] = asyncio.get_running_loop().create_future()

    def done(result: Floats | Exception) -> None:
        if answer.done():  # cancelled
            return
        if isinstance(result, Exception):
            answer.set_exception(result)
        else:
            answer.set_result(result)

    batcher.submit(batch, timeout, lambda: answer.done() or gone(), done, source)
    return await answer


async def begun(engine: Engine) -> None:
    """The engine has begun another batch."""
    assert await asyncio.to_thread(engine.begun.acquire, timeout=30)


async def held(engine: Engine, batcher: Batcher) -> "asyncio.Task[Floats]":
    """A one-row request that keeps the engine busy until `allowed` is released."""
    engine.held = True
    first = asyncio.create_task(score(batcher, rows_of(1)))
    await begun(engine)
    return first


def let_go(engine: Engine) -> None:
    engine.held = False
    engine.allowed.release()


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(test(), 60)

    asyncio.run(bounded())


async def refusal(waiting: Awaitable[Floats]) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        await waiting
    return caught.value
