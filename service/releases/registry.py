"""The models of a server: opened, kept up with their repository, and closed."""

import logging
from pathlib import Path
from typing import Self

from thimble.service.engine.artifact import ArtifactError
from thimble.service.errors import StartupError
from thimble.service.releases.catalogue import Catalogue
from thimble.service.releases.changes import Changes
from thimble.service.releases.mapped_files import MappedFiles
from thimble.service.releases.others import Sync
from thimble.service.releases.polling import Polling
from thimble.service.releases.refusals import sentence_of
from thimble.service.releases.repository import MODEL_FILE, Repository
from thimble.service.settings import Settings

log = logging.getLogger("thimble")


class Registry:
    """All models of a repository: the `catalogue` of what is served, and the `changes` of it."""

    def __init__(self, settings: Settings, repository: Repository | None, sync: Sync | None = None) -> None:
        """Without a repository the models are those of the settings' one file. `sync` has other workers follow."""
        self._settings = settings
        self._repository = repository
        self._polling: Polling | None = None
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
        try:
            seen = repository.snapshot()
        except OSError as error:
            raise StartupError(f"{repository.folder}: {error.strerror}") from None
        served = {name: snapshot for name, snapshot in seen.items() if await self._loaded(name)}
        if not any(self.catalogue) and not self._settings.models_may_come:
            raise StartupError(
                f"{repository.folder}: none of its models can be served" if seen else _nothing_in(repository.folder)
            )
        if self._settings.poll_s:
            self._polling = Polling(repository, self.changes.following, served)
            self._polling.start(self._settings.poll_s)

    def close(self) -> None:
        if self._polling is not None:
            self._polling.close()
        self._mapped_files.close()
        self.changes.close()

    async def _loaded(self, name: str) -> bool:
        """Load what is to be served of a model. False: it is worth another try. StartupError."""
        try:
            problem = await self.changes.following.load_at_start(name)
        except StartupError:
            raise
        except Exception as error:  # the other models are to be served all the same
            log.error("%s", sentence_of(error))
            return False
        if problem:
            log.error("%s", problem)
        return True


def _nothing_in(folder: Path) -> str:
    inside = any(folder.glob(f"[1-9]*/{MODEL_FILE}"))
    hint = f"; its parent {folder.absolute().parent} may be the repository" if inside else ""
    return f"{folder}: neither a {MODEL_FILE} nor a repository of MODEL/VERSION/{MODEL_FILE}{hint}"
