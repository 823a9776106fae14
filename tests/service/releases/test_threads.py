import asyncio
import gc
import threading
from contextlib import suppress
from weakref import ref

import pytest

from testing.conditions import until
from thimble.service.errors import UnavailableError
from thimble.service.releases.threads import Threads


def test_what_hangs_occupies_one_thread_and_holds_up_no_other_place() -> None:
    allowed = threading.Event()
    done: list[int] = []

    def hang(number: int) -> None:
        assert allowed.wait(30)
        done.append(number)

    async def run() -> None:
        threads, before = Threads(), threading.active_count()
        for number in range(3):
            with pytest.raises(UnavailableError, match=r"^a has not answered within 0\.01 s$"):
                await threads.run("a", 0.01, hang, number)
        assert threading.active_count() == before + 1
        await threads.run("b", 30, done.append, 10)
        allowed.set()
        await threads.run("a", 30, done.append, 11)
        assert done == [10, 0, 11]  # what was not begun in time is not begun later

    asyncio.run(run())


def test_what_is_raised_is_passed_on_also_an_error_that_is_named_as_that_of_the_limit() -> None:
    def fail() -> None:
        raise TimeoutError("the network")

    async def run() -> None:
        with pytest.raises(TimeoutError, match="the network"):
            await Threads().run("a", 30, fail)

    asyncio.run(run())


def test_nothing_keeps_what_was_at_hand_where_it_failed() -> None:
    class Held:
        pass

    seen = []

    def fail() -> None:
        held = Held()
        seen.append(ref(held))
        raise ValueError

    async def run() -> None:
        with suppress(ValueError):
            await asyncio.create_task(Threads().run("a", 30, fail))
        await asyncio.to_thread(until, lambda: seen[0]() is None)

    gc.disable()
    try:
        asyncio.run(run())
    finally:
        gc.enable()
