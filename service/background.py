"""What goes on beside the requests: it may fail, but never silently and never for good."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

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
        task = asyncio.get_running_loop().create_task(_kept_up(name, work), name=name)
        self._tasks.add(task)  # the loop itself would let go of it
        task.add_done_callback(self._tasks.discard)
        return task

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()


async def _kept_up(name: str, work: Callable[[], Awaitable[None]]) -> None:
    pause, clock = FIRST_PAUSE_SECONDS, asyncio.get_running_loop().time
    while True:
        begun = clock()
        try:
            return await work()
        except Exception:
            if clock() - begun > LONGEST_PAUSE_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            failed(name, f"it is begun again in {pause:g} s")
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def failed(name: str, consequence: str) -> None:
    """Log and count what has failed just now, from where its exception is handled."""
    BACKGROUND_FAILURES.labels(name).inc()
    log.exception("%s failed; %s", name, consequence)
