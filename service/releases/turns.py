"""The changes of each model: one at a time, unless something comes first."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import TypeVar

from thimble.service.errors import RequestError

Result = TypeVar("Result")


class Turns:
    """Changes of models. Those of one model are made one after the other, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._pending: defaultdict[str, dict[asyncio.Task[object], RequestError | None]] = defaultdict(dict)

    async def take(self, model: str, change: Callable[[], Awaitable[Result]]) -> Result:
        """Make a change when its turn has come. RequestError: that with which it was superseded."""
        turn = asyncio.get_running_loop().create_task(self._in_turn(model, change))
        pending = self._pending[model]
        pending[turn] = None
        try:
            return await turn
        except asyncio.CancelledError:
            if (reason := pending[turn]) is not None:
                raise reason from None
            raise
        finally:
            del pending[turn]
            del turn  # it has the error, whose traceback has this frame, and with it all that was loaded

    def supersede(self, model: str, by: str) -> None:
        """Cancel all that is pending for a model: 409 for whoever asked for it."""
        self._cancel(model, RequestError(409, f"{by} of {model} came first; ask again if this is still wanted"))

    def stop(self) -> None:
        """Cancel all that is pending: the server shuts down."""
        for model in self._pending:
            self._cancel(model, RequestError(503, "the server is shutting down"))

    def _cancel(self, model: str, reason: RequestError) -> None:
        for turn in self._pending[model]:
            if turn.cancel():
                self._pending[model][turn] = reason

    async def _in_turn(self, model: str, change: Callable[[], Awaitable[Result]]) -> Result:
        async with self._locks[model]:
            return await change()
