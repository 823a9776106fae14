"""A version that gives no finite scores is taken out of the traffic, once another process has found the same.

The suspicion is this process's own, and so is what follows from it at once: a canary gets no more requests, and those
that a live version fails on are answered by the one before. Only what a fresh process confirms is written down for
others to follow. If the same file scores the same rows there, it is this process that is at fault.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from thimble.models.features import Batch
from thimble.service.background import Background
from thimble.service.engine.artifact import ArtifactError
from thimble.service.releases import change_log
from thimble.service.releases.catalogue import Catalogue
from thimble.service.releases.loader import sandbox_task
from thimble.service.releases.release import Release
from thimble.service.releases.repository import StoredVersion, stored_version
from thimble.service.releases.sandbox.host import Sandbox
from thimble.service.releases.store import READ_SECONDS
from thimble.service.releases.threads import Threads
from thimble.service.releases.versions import LoadedRelease, ModelVersions
from thimble.service.settings import Settings
from thimble.service.telemetry import metrics

# Until a version that nothing can take the place of is judged anew.
AGAIN_SECONDS = 60.0
log = logging.getLogger("thimble")

TakeOut = Callable[[ModelVersions, Release, LoadedRelease, str], Awaitable[None]]
"""Serves at once what is left of a model, all of it loaded, then writes it down and has the other workers follow."""


class Withdrawal:
    """Sees to the versions of a catalogue that give no finite scores."""

    def __init__(self, settings: Settings, catalogue: Catalogue, take_out: TakeOut) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._take_out = take_out
        self._background = Background()
        self._threads = Threads()

    def see_to(self, stored: StoredVersion, rows: Batch) -> None:
        """A version gave no finite scores for these rows, among others."""
        log.error("%s gives no finite scores; another process is asked whether it does there", _named(stored))
        self._background.keep_up("confirmation", partial(self._settle, stored, rows))

    def close(self) -> None:
        self._background.close()

    async def _settle(self, stored: StoredVersion, rows: Batch) -> None:
        """Find out who is at fault and act on it. It is begun again if it fails, as without a sandbox."""
        if self._catalogue.loaded(stored) is None:
            return
        finite = await self._finite_elsewhere(stored, rows)
        model, name = self._catalogue.loaded(stored), _named(stored)
        if model is None:  # another release took its place meanwhile
            return
        if 2 * sum(finite) > len(finite):
            self._catalogue.fatal = f"{name} gives no finite scores in this process, and does in another"
            return
        versions = self._catalogue.models[stored.model]
        remaining = versions.without(model)
        if remaining is None:
            log.error("%s gives no usable scores, and nothing can take its place", name)
            await asyncio.sleep(AGAIN_SECONDS)
            model.health.clear()
            return
        log.error("%s gives no usable scores and is taken out", name)
        metrics.changed(stored.model, "rolled_back")
        await self._take_out(versions, *remaining, change_log.ITSELF)

    async def _finite_elsewhere(self, stored: StoredVersion, rows: Batch) -> list[bool]:
        """Of each row, whether its score is finite in a fresh process. ArtifactError: that cannot be found out."""
        sandbox = await Sandbox.start()
        try:
            task = sandbox_task(self._settings, stored.path)
            verdict = await sandbox.verify(task.model_copy(update={"rows": [array.tobytes() for array in rows]}))
        finally:
            sandbox.end()
        if await self._threads.run(str(stored.path), READ_SECONDS, stored_version, stored.path, stored.model) != stored:
            raise ArtifactError(f"{stored.path}: it is not the file that was loaded, so it says nothing of its scores")
        return verdict.finite


def _named(stored: StoredVersion) -> str:
    return f"version {stored.version} of {stored.model}"
