"""Looks for what has changed in a repository."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from thimble.service.releases.repository import Repository, Snapshot

log = logging.getLogger("thimble")


async def poll(
    repository: Repository,
    served: dict[str, Snapshot],
    seconds: float,
    reconcile: Callable[[str], Awaitable[str | None]],
) -> None:
    """Reconcile each model that has changed since `served`, as often as every so many seconds, for ever.

    A change counts once two snapshots have it: files grow while they come. `reconcile` returns what kept from it.
    """
    before = served
    while True:
        await asyncio.sleep(seconds)
        try:
            now = await asyncio.to_thread(repository.snapshot)
        except OSError as error:
            log.error("%s: %s", repository.folder, error.strerror)
            continue
        for name, snapshot in now.items():
            if snapshot == before.get(name) and snapshot != served.get(name):
                served = {**served, name: snapshot}
                if problem := await reconcile(name):
                    log.error("%s", problem)
        before = now
