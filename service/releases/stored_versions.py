"""The versions of each model in the repository: listed, and brought by a push."""

from functools import partial

from thimble.models.conversions import shown
from thimble.service.errors import RequestError
from thimble.service.releases import change_log
from thimble.service.releases.catalogue import Catalogue
from thimble.service.releases.loader import Loader
from thimble.service.releases.refusals import refusing
from thimble.service.releases.repository import NAME, StoredVersion
from thimble.service.releases.store import Store
from thimble.service.releases.turns import Turns
from thimble.service.releases.versions import ModelVersions
from thimble.service.settings import Settings


class StoredVersions:
    """The versions on disk, of which a catalogue serves some."""

    def __init__(self, settings: Settings, catalogue: Catalogue, store: Store | None, loader: Loader) -> None:
        """Without a `store` there is one file, and nothing to list or to change."""
        self._settings = settings
        self._catalogue = catalogue
        self._store = store
        self._loader = loader
        self._pushes = Turns()

    async def of(self, name: str) -> dict[int, StoredVersion]:
        """The versions of a model, the newest first. UnavailableError."""
        return await self._store.versions(name) if self._store and NAME.fullmatch(name) else {}

    async def names(self) -> list[str]:
        """Names of all models in the repository and of all that are served. UnavailableError."""
        stored = await self._store.models() if self._store else []
        return sorted({*self._catalogue.models, *stored})

    async def model(self, name: str) -> ModelVersions:
        """A model that is served or lies in the repository. RequestError 404, UnavailableError."""
        versions = self._catalogue.models.get(name)
        if versions is None and not await self.of(name):
            raise RequestError(404, f"there is no model {shown(name)} in the repository")
        return versions or ModelVersions(name)

    def changeable(self) -> Store:
        """Where changes are written. RequestError 409: nowhere, as one file is served."""
        if self._store is None:
            raise RequestError(409, f"{self._settings.repository} is one file; models come and go in a repository")
        return self._store

    async def push(self, name: str, version: int, content: bytes, by: str) -> None:
        """Verify a version that came in a request and put it into the repository. RequestError: why it is not there."""
        store = self.changeable()
        if not NAME.fullmatch(name):
            raise RequestError(
                400, f"{shown(name)} is no name for a model: letters, digits, '.', '_' and '-', at most 64"
            )
        with refusing(name):
            await self._pushes.take(name, partial(store.push, name, version, content, self._loader.verify))
        change_log.stored(name, version, by)

    def stop(self) -> None:
        """Refuse what is pending: the server shuts down."""
        self._pushes.stop()
