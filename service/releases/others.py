"""The server's other workers, as one that has changed what it serves sees them."""

import asyncio
from collections.abc import Awaitable, Callable

from thimble.service.releases.refusals import sentence_of
from thimble.service.releases.release import Release

Sync = Callable[[str, Release | None], Awaitable[list[str]]]
"""Has the server's other workers serve a release of a model, or, for None, what is written down for it. Returns what
kept them from it."""


class OtherWorkers:
    """Tells the other workers, where there are some, what is decided."""

    def __init__(self, sync: Sync | None) -> None:
        self._sync = sync

    async def tell(self, name: str, release: Release | None, seconds: float) -> list[str]:
        """Have them serve a release, or what is written down. Returns what kept them from it. Never raises."""
        if self._sync is None:
            return []
        try:
            async with asyncio.timeout(seconds):
                return await self._sync(name, release)
        except TimeoutError:
            return [f"some have not answered within {seconds:g} s"]
        except Exception as error:
            return [sentence_of(error)]
