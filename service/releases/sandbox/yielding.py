"""Rests of the event loop, in which a core that it fills is left to what runs with the lowest priority.

Such a process is stopped the moment the loop wants its core back, so that no request waits longer than a rest; but on a
core that is never idle it would hardly ever run. A process of some small share and a higher priority would do without
yielding, but the kernel hands out a core for milliseconds at a time, and requests would wait for those.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

REST_SECONDS = 0.0002
EVERY_SECONDS = 0.04


@asynccontextmanager
async def yielding() -> AsyncIterator[None]:
    """Rest now and then."""
    resting = asyncio.get_running_loop().create_task(_rest())
    try:
        yield
    finally:
        resting.cancel()


async def _rest() -> None:
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        time.sleep(REST_SECONDS)  # the loop itself, not this task
