"""Batches on which the engine raises, and scores that are no numbers."""

import asyncio
from collections.abc import Iterable
from math import log2

import numpy as np
import pytest

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
from thimble.models.hashing import Floats
from thimble.service.engine.outcomes import RefusedError, UnusableError

WAYS = pytest.mark.parametrize("seconds", [0.0, BESIDE], ids=["on the loop", "in the thread"])


async def all_of(waiting: Iterable["asyncio.Task[Floats]"]) -> list[Floats | BaseException]:
    return await asyncio.gather(*waiting, return_exceptions=True)


@WAYS
def test_what_fails_once_is_tried_again_and_nobody_notices(seconds: float) -> None:
    async def test() -> None:
        engine, observer = Engine(), Observer()
        engine.failures = 1
        batcher = batcher_of(engine, seconds, observer)
        assert (await score(batcher, rows_of(7, 8))).tolist() == [7, 8]
        assert (engine.batches, engine.checks) == ([[7, 8], [7, 8]], 0)
        assert (observer.failed_batches, observer.faults, batcher.faults) == ([1], [], {})

    run(test)


@WAYS
@pytest.mark.parametrize("poisoned", [{0}, {63}, {31, 32}, set(range(0, 64, 2)), set(range(64))])
def test_what_the_engine_raises_on_fails_alone(seconds: float, poisoned: set[int]) -> None:
    async def test() -> None:
        engine, observer = Engine(), Observer()
        batcher = batcher_of(engine, seconds, observer)
        ids = [POISON if number in poisoned else number for number in range(64)]
        asked = [asyncio.create_task(score(batcher, rows_of(first, first))) for first in ids]
        for first, found in zip(ids, await all_of(asked), strict=True):
            if first == POISON:
                assert isinstance(found, UnusableError) and "fails on these rows" in str(found)
            else:
                assert not isinstance(found, BaseException) and found.tolist() == [first, first]
        assert (await score(batcher, rows_of(4))).tolist() == [4]
        assert (observer.faults, batcher.faults, engine.checks) == ([], {}, 1)
        assert observer.poisoned_rows == 2 * len(poisoned)
        assert len(engine.batches) <= 3 + 2 * log2(64) * len(poisoned)

    run(test)


@WAYS
def test_a_large_request_with_poison_fails_whole_and_the_rest_of_it_is_not_computed(seconds: float) -> None:
    async def test() -> None:
        engine = Engine()
        batcher = batcher_of(engine, seconds)
        large = numbered(3 * BATCH_ROWS)
        large.ids[0] = POISON
        with pytest.raises(UnusableError):
            await score(batcher, large)
        assert (await score(batcher, rows_of(4))).tolist() == [4]
        assert engine.rows_run == 2 * BATCH_ROWS + 1

    run(test)


@WAYS
def test_an_engine_that_fails_on_its_own_rows_too_refuses_everything_until_it_works_again(seconds: float) -> None:
    async def test() -> None:
        engine, observer = Engine(), Observer()
        engine.broken = True
        batcher = batcher_of(engine, seconds, observer)
        asked = [asyncio.create_task(score(batcher, numbered(BATCH_ROWS))) for _ in range(4)]
        for refused in await all_of(asked):
            assert isinstance(refused, RefusedError)
            assert (refused.reason, refused.retry_after) == ("engine_failing", 1)
        assert batcher.faults and batcher.queued_rows == 0
        assert len(engine.batches) == 2  # the batch and once more, and no halves of it
        assert observer.faults == ["the engine choked on its own rows"]
        assert (await refusal(score(batcher, rows_of(4)))).reason == "engine_failing"
        with pytest.raises(RuntimeError, match="on its own rows"):
            await batcher.try_again()
        assert (await refusal(score(batcher, rows_of(4)))).reason == "engine_failing"
        engine.broken = False
        await batcher.try_again()
        assert (await score(batcher, rows_of(4))).tolist() == [4]

    run(test)


def test_what_waits_while_the_engine_is_found_broken_is_refused() -> None:
    async def test() -> None:
        engine = Engine()
        batcher = batcher_of(engine)
        first = await held(engine, batcher)
        engine.broken = True
        waiting = asyncio.create_task(score(batcher, rows_of(2)))
        await asyncio.sleep(0)
        let_go(engine)
        for refused in (await refusal(first), await refusal(waiting)):
            assert refused.reason == "engine_failing"

    run(test)


def test_what_is_at_fault_beside_the_engine_is_not_mended_by_the_engine() -> None:
    async def test() -> None:
        engine = Engine()
        batcher = batcher_of(engine)
        first = await held(engine, batcher)
        waiting = asyncio.create_task(score(batcher, rows_of(2)))
        await asyncio.sleep(0)
        batcher.refuse("weights", "the weights were written to")
        assert (await refusal(waiting)).message == "the weights were written to"
        let_go(engine)
        await first
        await batcher.try_again()
        assert (await refusal(score(batcher, rows_of(2)))).message == "the weights were written to"
        batcher.accept("weights")
        assert (await score(batcher, rows_of(4))).tolist() == [4]

    run(test)


def test_failures_teach_nothing_of_how_long_batches_take() -> None:
    async def test() -> None:
        engine = Engine()
        batcher = batcher_of(engine, BESIDE)
        expected = batcher._cost.expected(1)
        for _ in range(50):
            with pytest.raises(UnusableError):
                await score(batcher, rows_of(POISON))
        assert batcher._cost.expected(1) == expected

    run(test)


@WAYS
def test_a_score_that_is_no_number_fails_its_request_alone_and_is_told_with_its_row_and_client(seconds: float) -> None:
    class Spoiled(Engine):
        def run(self, rows: int) -> Floats:
            scores = super().run(rows)
            return np.where(scores == 9, np.float32(np.inf), scores)

    async def test() -> None:
        engine, observer = Spoiled(), Observer()
        batcher = batcher_of(engine, seconds, observer)
        asked = [asyncio.create_task(score(batcher, rows_of(*ids), source=ids)) for ids in ((1, 2), (8, 9, 9), (3,))]
        good, bad, other = await all_of(asked)
        assert isinstance(bad, UnusableError) and "not a number" in str(bad)
        assert not isinstance(good, BaseException) and good.tolist() == [1, 2]
        assert not isinstance(other, BaseException) and other.tolist() == [3]
        assert observer.evidence == [([9], (8, 9, 9))]
        assert (observer.rows_not_finite, observer.failed_batches) == (2, [])

    run(test)
