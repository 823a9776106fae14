"""The models of a server: opened, kept up with their repository, and closed."""

import asyncio
import logging
from functools import partial
from pathlib import Path
from typing import Self

from thimble.service.background import Background, failed
from thimble.service.engine.artifact import ArtifactError
from thimble.service.errors import StartupError
from thimble.service.releases.catalogue import Catalogue
from thimble.service.releases.changes import Changes, Sync
from thimble.service.releases.mapped_files import MappedFiles
from thimble.service.releases.repository import MODEL_FILE, Repository, Snapshot
from thimble.service.settings import Settings

log = logging.getLogger("thimble")


class Registry:
    """All models of a repository: the `catalogue` of what is served, and the `changes` of it."""

    def __init__(self, settings: Settings, repository: Repository | None, sync: Sync | None = None) -> None:
        """Without a repository the models are those of the settings' one file. `sync` has other workers follow."""
        self._settings = settings
        self._repository = repository
        self._background = Background()
        self.catalogue = Catalogue()
        self.changes = Changes(settings, self.catalogue, repository, sync)
        self._mapped_files = MappedFiles(self.catalogue)

    @classmethod
    async def open(cls, settings: Settings, sync: Sync | None = None) -> Self:
        """A registry of what the settings name, loaded. StartupError."""
        registry = cls(settings, None if settings.repository.is_file() else Repository(settings.repository), sync)
        await registry.load()
        return registry

    async def load(self) -> None:
        """Load what is to be served, at a time when nothing else has to be done.

        StartupError: there is nothing, and nothing can come.
        """
        repository = self._repository
        self._mapped_files.start()
        if repository is None:
            try:
                await self.changes.load_file(self._settings.repository)
            except ArtifactError as error:
                raise StartupError(str(error)) from None
            return
        seen = repository.snapshot()
        for name in seen:
            if problem := await self.changes.load_at_start(name):
                log.error("%s", problem)
        if not any(self.catalogue) and not self._settings.models_may_come:
            raise StartupError(
                f"{repository.folder}: none of its models can be served" if seen else _nothing_in(repository.folder)
            )
        if self._settings.poll_s:
            self._background.keep_up("polling", partial(self._poll, repository, seen))

    def close(self) -> None:
        self._background.close()
        self._mapped_files.close()
        self.changes.close()

    async def _poll(self, repository: Repository, served: dict[str, Snapshot]) -> None:
        """Reconcile each model that changed since `served`. A change counts once two snapshots have it: files grow."""
        before = served
        while True:
            await asyncio.sleep(self._settings.poll_s)
            try:
                now = await asyncio.to_thread(repository.snapshot)
            except OSError as error:
                log.error("%s: %s", repository.folder, error.strerror)
                continue
            for name, snapshot in now.items():
                if snapshot == before.get(name) and snapshot != served.get(name) and await self._follow(name):
                    served[name] = snapshot
            before = now

    async def _follow(self, name: str) -> bool:
        """Serve what is written down for a model. False: that came to no end, good or bad, and is to be tried again."""
        try:
            problem = await self.changes.reconcile(name)
        except Exception:  # for want of descriptors, of memory, of a disk that answers: other models go on
            failed("polling", f"{name} is tried again at the next look")
            return False
        if problem is not None:
            log.error("%s", problem)
        return True


def _nothing_in(folder: Path) -> str:
    inside = any(folder.glob(f"[1-9]*/{MODEL_FILE}"))
    hint = f"; its parent {folder.absolute().parent} may be the repository" if inside else ""
    return f"{folder}: neither a {MODEL_FILE} nor a repository of MODEL/VERSION/{MODEL_FILE}{hint}"
