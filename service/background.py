"""What goes on beside the requests: it may fail, but never silently and never for ever."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from thimble.service.telemetry.metrics import BACKGROUND_FAILURES

# Before work that failed is begun again, doubled each time it fails once more, up to the longest. What has gone on for
# longer than that without a failure begins with the first again.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0
log = logging.getLogger("thimble")


class Background:
    """The tasks of one owner, which ends them when it is closed. For the event loop's thread."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def keep_up(self, name: str, work: Callable[[], Awaitable[None]]) -> "asyncio.Task[None]":
        """Do work that goes on, and begin it anew, after a pause, whenever it fails. It is done when it returns."""
        return self._begin(name, _kept_up(name, work))

    def begin(self, name: str, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Do work once. If it fails, that is logged and counted."""
        return self._begin(name, _told(name, work))

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _begin(self, name: str, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)  # the loop itself would let go of it
        task.add_done_callback(self._tasks.discard)
        return task


async def _kept_up(name: str, work: Callable[[], Awaitable[None]]) -> None:
    pause, clock = FIRST_PAUSE_SECONDS, asyncio.get_running_loop().time
    while True:
        begun = clock()
        try:
            return await work()
        except Exception:
            if clock() - begun > LONGEST_PAUSE_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            _tell(name, f"it is begun again in {pause:g} s")
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


async def _told(name: str, work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception:
        _tell(name, "it is given up")


def _tell(name: str, consequence: str) -> None:
    BACKGROUND_FAILURES.labels(name).inc()
    log.exception("%s failed; %s", name, consequence)
