"""The changes of one model: one at a time, unless something comes first."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from thimble.service.errors import RequestError

Result = TypeVar("Result")


class Turns:
    """Changes that are made one after the other, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._pending: dict[asyncio.Task[object], RequestError | None] = {}

    async def take(self, change: Callable[[], Awaitable[Result]]) -> Result:
        """Make a change when its turn has come. RequestError: that with which it was superseded."""
        turn = asyncio.get_running_loop().create_task(self._in_turn(change))
        self._pending[turn] = None
        try:
            return await turn
        except asyncio.CancelledError:
            if (reason := self._pending[turn]) is not None:
                raise reason from None
            raise
        finally:
            del self._pending[turn]

    def supersede(self, reason: RequestError) -> None:
        """Cancel all that is pending, and have it end with this reason."""
        for turn in self._pending:
            if turn.cancel():
                self._pending[turn] = reason

    async def _in_turn(self, change: Callable[[], Awaitable[Result]]) -> Result:
        async with self._lock:
            return await change()
