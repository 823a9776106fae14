"""A clock for how long a connection has been idle."""

import asyncio
from collections.abc import Callable


class IdleClock:
    """Tells when nothing was asked for some seconds. One timer for many requests is cheaper than one for each."""

    def __init__(self, seconds: float, on_end: Callable[[], None]) -> None:
        self._seconds = seconds
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._since: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def seconds(self) -> float:
        """For how long it has been idle."""
        return 0 if self._since is None else self._loop.time() - self._since

    def start(self) -> None:
        """It is idle from now on."""
        self._since = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._check)

    def stop(self) -> None:
        """It is not idle."""
        self._since = None

    def close(self) -> None:
        """It is no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _check(self) -> None:
        self._timer = None
        if self._since is None:
            return
        left = self._seconds - self.seconds
        if left > 0:
            self._timer = self._loop.call_later(left, self._check)
        else:
            self._on_end()
