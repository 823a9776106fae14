"""The models of a server: opened, kept up with their repository, and closed."""

import asyncio
import logging
from pathlib import Path
from typing import Self

from thimble.service.engine.artifact import ArtifactError
from thimble.service.errors import StartupError
from thimble.service.releases.catalogue import Catalogue
from thimble.service.releases.changes import Changes, NoOtherWorkers, OtherWorkers
from thimble.service.releases.polling import poll
from thimble.service.releases.repository import MODEL_FILE, Repository
from thimble.service.settings import Settings

log = logging.getLogger("thimble")


class Registry:
    """All models of a repository: the `catalogue` of what is served, and the `changes` of it."""

    def __init__(self, settings: Settings, workers: OtherWorkers, repository: Repository | None) -> None:
        """Without a repository the models are those of the settings' one file."""
        self._settings = settings
        self._repository = repository
        self._polling: asyncio.Task[None] | None = None
        self.catalogue = Catalogue()
        self.changes = Changes(settings, self.catalogue, repository, workers)

    @classmethod
    async def open(cls, settings: Settings, workers: OtherWorkers | None = None) -> Self:
        """A registry of what the settings name, loaded. StartupError."""
        repository = None if settings.repository.is_file() else Repository(settings.repository)
        registry = cls(settings, workers or NoOtherWorkers(), repository)
        await registry.load()
        return registry

    async def load(self) -> None:
        """Load what is to be served, at a time when nothing else has to be done.

        StartupError: there is nothing, and nothing can come.
        """
        repository = self._repository
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
        if seconds := self._settings.poll_s:
            polling = poll(repository, seen, seconds, self.changes.reconcile)
            self._polling = asyncio.get_running_loop().create_task(polling)

    def close(self) -> None:
        """End what runs beside the serving."""
        if self._polling is not None:
            self._polling.cancel()
        self.changes.close()


def _nothing_in(folder: Path) -> str:
    inside = any(folder.glob(f"[1-9]*/{MODEL_FILE}"))
    hint = f"; its parent {folder.absolute().parent} may be the repository" if inside else ""
    return f"{folder}: neither a {MODEL_FILE} nor a repository of MODEL/VERSION/{MODEL_FILE}{hint}"
