"""Yields the core now and then: the event loop that fills it leaves it to what runs with the lowest priority.

Such a process is stopped the moment the loop wants its core back, so that no request waits longer than the loop sleeps;
but on a core that is never idle it would hardly ever run. A process of some small share and a higher priority would do
without yielding, but the kernel hands out a core for milliseconds at a time, and requests would wait for those.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

YIELD_SECONDS = 0.0002
EVERY_SECONDS = 0.04


@asynccontextmanager
async def yielding() -> AsyncIterator[None]:
    """Yield the core as long as the context lasts."""
    task = asyncio.get_running_loop().create_task(_yield_core())
    try:
        yield
    finally:
        task.cancel()


async def _yield_core() -> None:
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        time.sleep(YIELD_SECONDS)  # noqa: ASYNC251 - the loop itself is to sleep, not this task
