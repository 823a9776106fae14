"""The queue, with an engine that a test can hold up, and whose score of a row is the row's first id."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thimble.models.features import Batch
from thimble.models.hashing import Floats
from thimble.service.engine.batcher import Batcher
from thimble.service.engine.cost import Cost
from thimble.service.engine.outcomes import ClientGoneError, RefusedError, UnusableError
from thimble.service.telemetry.metrics import BatchTimes

BATCH_ROWS = 256
POISON = 666
BESIDE = 0.002  # a batch that costs so much is run in the engine's thread


class Engine:
    """Runs batches as long as it is let to; `batches` is what it ran."""

    batch_rows = BATCH_ROWS
    inline_seconds = 0.001

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.begun = threading.Semaphore(0)
        self.allowed = threading.Semaphore(0)
        self.held = False
        self._rows: list[int] = []

    def fill(self, parts: Sequence[Batch]) -> int:
        self._rows = [int(i) for part in parts for i in part.ids[:, 0]]
        return len(self._rows)

    def run(self, rows: int) -> Floats:
        self.batches.append(self._rows[:rows])
        self.begun.release()
        if self.held:
            assert self.allowed.acquire(timeout=30)
        if POISON in self._rows[:rows]:
            raise RuntimeError("the engine choked")
        return np.array(self._rows[:rows], np.float32)

    @property
    def rows_run(self) -> int:
        return sum(map(len, self.batches))


def rows_of(*ids: int) -> Batch:
    return Batch(np.zeros((len(ids), 1), np.float32), np.array(ids, np.int64)[:, None])


def numbered(rows: int, first: int = 1000) -> Batch:
    return rows_of(*range(first, first + rows))


def batcher_of(
    engine: Engine,
    seconds: float = BESIDE,
    record: Callable[[BatchTimes], None] = lambda _: None,
    check: Callable[[int, int], None] = lambda *_: None,
    **limits: Any,
) -> Batcher:
    """A batcher that expects every batch to take `seconds`."""
    limits = {"max_queued_rows": 100_000, "timeout": 30.0} | limits
    return Batcher(engine, Cost(BATCH_ROWS, seconds, seconds), record=record, check=check, **limits)


async def score(
    batcher: Batcher, batch: Batch, timeout: float | None = None, gone: Callable[[], bool] = lambda: False
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

    batcher.submit(batch, timeout, lambda: answer.done() or gone(), done)
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


def test_full_batches_follow_each_other_until_they_have_held_the_loop_long_enough() -> None:
    async def test() -> None:
        turns, begun_in = 0, list[int]()
        batcher = batcher_of(Engine(), 0.4 * Engine.inline_seconds, record=lambda _: begun_in.append(turns))
        waiting = [asyncio.create_task(score(batcher, numbered(BATCH_ROWS))) for _ in range(5)]
        while not all(task.done() for task in waiting):
            await asyncio.sleep(0)
            turns += 1
        assert [begun_in.count(turn) for turn in dict.fromkeys(begun_in)] == [2, 2, 1]

    run(test)


@pytest.mark.parametrize("seconds", [0.0, BESIDE])
def test_a_lone_request_is_scored_at_once(seconds: float) -> None:
    async def test() -> None:
        batcher = batcher_of(Engine(), seconds)
        assert (await score(batcher, rows_of(7, 8))).tolist() == [7, 8]

    run(test)


@pytest.mark.parametrize("seconds", [0.0, BESIDE])
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_thousands_of_requests_get_their_own_scores(seconds: float, data: st.DataObject) -> None:
    """Of any size, some failing, leaving or cancelled while they wait."""
    sizes = st.one_of(st.integers(1, 8), st.integers(1, 700))
    fates = st.sampled_from(["served"] * 8 + ["gone", "cancelled", "poisoned"])
    asked = data.draw(st.lists(st.tuples(sizes, fates), min_size=300, max_size=300)) * 7

    async def one(batcher: Batcher, number: int, rows: int, fate: str) -> None:
        await asyncio.sleep(0 if number % 3 else 0.001 * (number % 7))  # some come later
        batch = numbered(rows, number * 1000)
        if fate == "poisoned":
            batch.ids[-1] = POISON
        request = asyncio.create_task(score(batcher, batch, gone=lambda: fate == "gone"))
        if fate == "cancelled":
            await asyncio.sleep(0)
            request.cancel()
        try:
            scores = await request
        except asyncio.CancelledError:
            assert fate == "cancelled"
        except ClientGoneError:
            assert fate == "gone"
        except UnusableError as error:
            assert "failed" in str(error)  # in a batch with a poisoned one
        else:
            assert fate != "poisoned"
            np.testing.assert_array_equal(scores, batch.ids[:, 0].astype(np.float32))

    async def test() -> None:
        engine = Engine()
        batcher = batcher_of(engine, seconds, max_queued_rows=10**9)
        await asyncio.gather(*(one(batcher, n, rows, fate) for n, (rows, fate) in enumerate(asked)))
        assert max(map(len, engine.batches)) <= BATCH_ROWS
        assert batcher.queued_rows == 0
        assert (await score(batcher, rows_of(5))).tolist() == [5]

    run(test)


def test_what_waited_goes_together() -> None:
    async def test() -> None:
        engine = Engine()
        batcher = batcher_of(engine)
        first = await held(engine, batcher)
        others = [asyncio.create_task(score(batcher, rows_of(i, i))) for i in range(2, 22)]
        await asyncio.sleep(0)
        let_go(engine)
        await asyncio.gather(first, *others)
        assert engine.batches == [[1], [i for i in range(2, 22) for _ in range(2)]]

    run(test)


def test_those_that_arrive_together_go_together() -> None:
    async def test() -> None:
        engine = Engine()
        batcher = batcher_of(engine, 0.0)
        await asyncio.gather(*(score(batcher, rows_of(i)) for i in range(20)))
        assert engine.batches == [list(range(20))]

    run(test)


def test_a_large_request_takes_turns_with_small_ones() -> None:
    async def test() -> None:
        engine = Engine()
        batcher = batcher_of(engine)
        first = await held(engine, batcher)
        order: list[str] = []

        async def one(name: str, batch: Batch) -> None:
            np.testing.assert_array_equal(await score(batcher, batch), batch.ids[:, 0].astype(np.float32))
            order.append(name)

        large = asyncio.create_task(one("large", numbered(10_000)))
        await asyncio.sleep(0)
        small = [asyncio.create_task(one("small", rows_of(i))) for i in range(2, 52)]
        await asyncio.sleep(0)
        let_go(engine)
        await asyncio.gather(first, large, *small)
        assert order == ["small"] * 50 + ["large"]
        # the first batch is the large one's, who was first; then come all the small ones
        assert set(range(2, 52)) <= set(engine.batches[2])

    run(test)


def test_too_many_waiting_rows_are_refused_until_there_is_room() -> None:
    async def test() -> None:
        engine = Engine()
        batcher = batcher_of(engine, max_queued_rows=10)
        first = await held(engine, batcher)
        waiting = asyncio.create_task(score(batcher, numbered(12)))  # one alone may be larger than the limit
        await asyncio.sleep(0)
        full = batcher.full()
        assert full is not None and full.reason == "queue_full"
        refused = await refusal(score(batcher, rows_of(2)))
        assert refused.reason == "queue_full" and refused.retry_after == pytest.approx(BESIDE)
        assert refused.message == "12 rows are waiting, 10 or more are too many"
        let_go(engine)
        await asyncio.gather(first, waiting)
        assert (await score(batcher, rows_of(3))).tolist() == [3]
        assert not any(2 in batch for batch in engine.batches)

    run(test)


def test_rows_that_take_longer_than_their_timeout_are_refused_at_once() -> None:
    async def test() -> None:
        engine = Engine()
        batcher = batcher_of(engine, seconds=0.1)
        refused = await refusal(score(batcher, numbered(1000), timeout=0.15))
        assert refused.reason == "timeout" and refused.retry_after is None
        assert refused.message == "1000 rows would take 400 ms, more than the timeout of 150 ms"
        assert engine.rows_run == 0

    run(test)


def test_what_would_be_ready_too_late_is_told_when_to_come_again() -> None:
    async def test() -> None:
        engine = Engine()
        batcher = batcher_of(engine, seconds=1.0)
        first = await held(engine, batcher)
        waiting = asyncio.create_task(score(batcher, numbered(5 * BATCH_ROWS)))
        await asyncio.sleep(0)
        refused = await refusal(score(batcher, rows_of(2), timeout=2.0))
        assert refused.reason == "would_be_late" and refused.retry_after is not None
        assert 4 < refused.retry_after <= 6
        assert refused.message == "1280 rows are waiting, so 1 more would not be ready within 2000 ms"
        patient = asyncio.create_task(score(batcher, rows_of(3), timeout=20.0))
        await asyncio.sleep(0)
        let_go(engine)
        await asyncio.gather(first, waiting, patient)

    run(test)


def test_what_is_too_late_is_never_computed() -> None:
    async def test() -> None:
        engine = Engine()
        batcher = batcher_of(engine)
        first = await held(engine, batcher)
        late = asyncio.create_task(score(batcher, rows_of(2), timeout=0.01))
        other = asyncio.create_task(score(batcher, rows_of(3)))
        await asyncio.sleep(0.02)  # what is tested is a time-out
        let_go(engine)
        refused = await refusal(late)
        assert refused.reason == "timeout" and "timeout of 10 ms passed" in refused.message
        await asyncio.gather(first, other)
        assert engine.batches == [[1], [3]]

    run(test)


def test_what_nobody_waits_for_is_never_computed() -> None:
    async def test() -> None:
        engine = Engine()
        batcher = batcher_of(engine)
        first = await held(engine, batcher)
        left = asyncio.create_task(score(batcher, rows_of(2), gone=lambda: True))
        cancelled = asyncio.create_task(score(batcher, rows_of(3)))
        other = asyncio.create_task(score(batcher, rows_of(4)))
        await asyncio.sleep(0)
        cancelled.cancel()
        let_go(engine)
        with pytest.raises(ClientGoneError):
            await left
        await asyncio.gather(first, other)
        assert engine.batches == [[1], [4]]

    run(test)


@pytest.mark.parametrize("seconds", [0.0, BESIDE])
def test_a_failing_batch_fails_its_own_requests_alone(seconds: float) -> None:
    async def test() -> None:
        engine = Engine()
        batcher = batcher_of(engine, seconds)
        large = numbered(3 * BATCH_ROWS)
        large.ids[0] = POISON
        with pytest.raises(UnusableError, match="the model failed on this batch"):
            await score(batcher, large)
        assert (await score(batcher, rows_of(4))).tolist() == [4]
        assert engine.rows_run == BATCH_ROWS + 1  # the rest of the failed one is not computed

    run(test)


def test_every_batch_is_recorded() -> None:
    async def test() -> None:
        engine, recorded = Engine(), list[BatchTimes]()
        batcher = batcher_of(engine, record=recorded.append)
        first = await held(engine, batcher)
        others = [asyncio.create_task(score(batcher, numbered(200))) for _ in range(2)]
        await asyncio.sleep(0)
        let_go(engine)
        await asyncio.gather(first, *others)
        assert [(times.rows, times.requests, len(times.waited)) for times in recorded] == [
            (1, 1, 1),
            (256, 2, 2),
            (144, 1, 0),
        ]
        assert all(seconds >= 0 for times in recorded for seconds in (*times.waited, times.fill, times.run, times.give))

    run(test)
