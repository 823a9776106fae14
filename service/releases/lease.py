"""A lock that nobody can keep for ever."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager


class Lease:
    """One holder at a time, but after so many seconds the next one need not wait any longer."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        await self._lock.acquire()
        held = ExitStack()  # released once, whichever comes first
        held.callback(self._lock.release)
        end = asyncio.get_running_loop().call_later(self._seconds, held.close)
        try:
            yield
        finally:
            end.cancel()
            held.close()
