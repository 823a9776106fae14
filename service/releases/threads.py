"""Threads for what may hang, as a disk does."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar, TypeVarTuple
from weakref import WeakValueDictionary

from thimble.service.errors import UnavailableError

Result = TypeVar("Result")
Given = TypeVarTuple("Given")


class Threads:
    """Runs what may hang in a thread each. Neither the event loop nor the end of the process waits for one.

    What concerns one place is run one after the other, in the order in which it was asked for. So what hangs there
    occupies one thread, however often it is tried, and what is written last stays.
    """

    def __init__(self, prepare: Callable[[], None] | None = None) -> None:
        """`prepare` is called first in each thread."""
        self._prepare = prepare
        self._places: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def run(self, place: str, seconds: float | None, work: Callable[[*Given], Result], *given: *Given) -> Result:
        """What `work` returns or raises, within so many seconds if a number is given.

        UnavailableError: the time is up, or no thread can be had. What has begun by then goes on.
        """
        lock = self._places.setdefault(place, asyncio.Lock())
        try:
            async with asyncio.timeout(seconds) as limit:
                await lock.acquire()
                return await self._begin(lock, partial(work, *given))
        except TimeoutError as error:
            if not limit.expired():
                raise  # the error of that name which files may give
            raise UnavailableError(f"{place} has not answered within {seconds:g} s") from error
        finally:
            del limit  # it has the task, which has the error, whose traceback has this frame

    def _begin(self, lock: asyncio.Lock, work: Callable[[], Result]) -> "asyncio.Future[Result]":
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Result] = loop.create_future()

        def settle(give: Callable[[asyncio.Future[Result]], None]) -> None:
            lock.release()
            if not answer.done():  # else nobody waits any more
                give(answer)

        try:
            threading.Thread(target=self._run, args=(loop, settle, work), daemon=True).start()
        except RuntimeError as error:
            lock.release()
            raise UnavailableError(f"no thread can be had: {error}") from None
        return answer

    def _run(
        self,
        loop: asyncio.AbstractEventLoop,
        settle: "Callable[[Callable[[asyncio.Future[Result]], None]], None]",
        work: Callable[[], Result],
    ) -> None:
        """What a thread does: `settle` is called in the event loop with what gives the answer."""
        give: Callable[[asyncio.Future[Result]], None]
        try:
            if self._prepare is not None:
                self._prepare()
            give = partial(_succeed, work())
        except Exception as error:
            give = partial(_fail, error)
        with suppress(RuntimeError):  # the loop is no more
            loop.call_soon_threadsafe(settle, give)
        del settle, give  # they have the error, whose traceback has this frame, and with it all that was loaded


def _succeed(result: Result, answer: "asyncio.Future[Result]") -> None:
    answer.set_result(result)


def _fail(error: Exception, answer: "asyncio.Future[Result]") -> None:
    answer.set_exception(error)
