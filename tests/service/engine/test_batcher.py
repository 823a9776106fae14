"""The queue, with an engine that a test can hold up, and whose score of a row is the row's first id."""

import asyncio

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.service.engine.batching import (
    BATCH_ROWS,
    BESIDE,
    POISON,
    Engine,
    Observer,
    batcher_of,
    held,
    let_go,
    numbered,
    refusal,
    rows_of,
    run,
    score,
)
from thimble.models.features import Batch
from thimble.service.engine.batcher import Batcher
from thimble.service.engine.outcomes import ClientGoneError, UnusableError
from thimble.service.telemetry.metrics import BatchTimes


def test_full_batches_follow_each_other_until_they_have_held_the_loop_long_enough() -> None:
    async def test() -> None:
        turns, begun_in = 0, list[int]()

        class Clock(Observer):
            def batch(self, times: BatchTimes, not_finite: int) -> None:
                begun_in.append(turns)

        batcher = batcher_of(Engine(), 0.4 * Engine.inline_seconds, Clock())
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
        batch = numbered(rows, (number + 1) * 1000)  # none of them the poison
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
        except UnusableError:
            assert fate == "poisoned"
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


def test_every_batch_is_recorded() -> None:
    async def test() -> None:
        engine, observer = Engine(), Observer()
        batcher = batcher_of(engine, observer=observer)
        first = await held(engine, batcher)
        others = [asyncio.create_task(score(batcher, numbered(200))) for _ in range(2)]
        await asyncio.sleep(0)
        let_go(engine)
        await asyncio.gather(first, *others)
        assert [(times.rows, times.requests, len(times.waited)) for times in observer.batches] == [
            (1, 1, 1),
            (256, 2, 2),
            (144, 1, 0),
        ]
        assert all(
            seconds >= 0 for times in observer.batches for seconds in (*times.waited, times.fill, times.run, times.give)
        )

    run(test)
