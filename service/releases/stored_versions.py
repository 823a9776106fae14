"""The versions of each model in the repository: listed, brought by a push, and deleted."""

import asyncio
import json
from functools import partial
from pathlib import Path

from thimble.models.conversions import shown
from thimble.models.spec import ModelSpec
from thimble.service.errors import RequestError
from thimble.service.releases import change_log
from thimble.service.releases.catalogue import Catalogue
from thimble.service.releases.hold import BusyError
from thimble.service.releases.interface import interface_of
from thimble.service.releases.loader import Loader
from thimble.service.releases.refusals import refusing
from thimble.service.releases.release import ANY_INTERFACE
from thimble.service.releases.repository import NAME, StoredVersion, StoreError
from thimble.service.releases.store import Store
from thimble.service.releases.turns import Turns
from thimble.service.releases.versions import ModelVersions
from thimble.service.settings import Settings


class StoredVersions:
    """The versions on disk, of which a catalogue serves some. `turns` are those of what is served."""

    def __init__(
        self, settings: Settings, catalogue: Catalogue, store: Store | None, loader: Loader, turns: Turns
    ) -> None:
        """Without a `store` there is one file, and nothing to list or to change."""
        self._settings = settings
        self._catalogue = catalogue
        self._store = store
        self._loader = loader
        self._turns = turns
        self._pushes = Turns()

    async def of(self, name: str) -> dict[int, StoredVersion]:
        """The versions of a model, the newest first. UnavailableError."""
        return await self._store.listed(name) if self._store and NAME.fullmatch(name) else {}

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

    async def push(self, name: str, version: int, content: bytes, by: str) -> str:
        """Verify a version that came in a request and put it into the repository.

        Returns what becomes of it, in words. RequestError: why it is not there.
        """
        store = self.changeable()
        if not NAME.fullmatch(name):
            raise RequestError(
                400, f"{shown(name)} is no name for a model: letters, digits, '.', '_' and '-', at most 64"
            )
        with refusing(name):
            verify = partial(self._verify, store, name)
            spec = await self._pushes.take(name, partial(store.push, name, version, content, verify))
        change_log.stored(name, version, by)
        return self._outlook(name, version, spec)

    async def delete(self, name: str, version: int, by: str) -> None:
        """Remove a version that nobody is served from.

        RequestError: 404 there is none, 409 it is in use, 507 it cannot be removed.
        """
        store = self.changeable()
        await self.model(name)
        with refusing(name):
            await self._turns.take(name, partial(self._delete, store, name, version, by))

    def stop(self) -> None:
        """Refuse what is pending: the server shuts down."""
        self._pushes.stop()

    async def _verify(self, store: Store, name: str, path: Path) -> ModelSpec:
        """What a pushed file is. If it takes other features than what is served, that is written down before it is
        stored: whoever starts is to pass it over."""
        spec = await self._loader.verify(path)
        versions = self._catalogue.models.get(name) or ModelVersions(name)
        if versions.release.follows and versions.interface not in (None, interface_of(spec)):
            try:
                await self._turns.take(name, partial(store.keep_unless_changed, name))
            except StoreError as error:
                raise StoreError(
                    f"it takes other features than what is served of {name}, and whoever starts would serve it: {error}"
                ) from None
        return spec

    async def _delete(self, store: Store, name: str, version: int, by: str) -> None:
        release, stored = await store.read(name)
        versions = self._catalogue.models.get(name) or ModelVersions(name)
        if version not in stored and version not in versions.loaded():
            raise RequestError(404, f"version {version} of {name} is not in the repository")
        use = versions.use_of(version, stored) or release.role_of(version)
        if use is not None:
            raise RequestError(409, f"version {version} of {name} is {use}, so it is not deleted")
        removal = asyncio.create_task(self._remove(store, name, version, by))
        try:
            await asyncio.shield(removal)
        except asyncio.CancelledError:  # what has begun is not superseded
            await removal

    async def _remove(self, store: Store, name: str, version: int, by: str) -> None:
        try:
            await store.delete(name, version)
        except BusyError:
            raise RequestError(
                409, f"version {version} of {name} is loaded in another process, so it is not deleted"
            ) from None
        if name in self._catalogue.models:
            self._catalogue.models[name].refused.pop(version, None)
        change_log.deleted(name, version, by)

    def _outlook(self, name: str, version: int, spec: ModelSpec) -> str:
        """What becomes of a version that is stored, and how it comes to be served."""
        versions = self._catalogue.models.get(name) or ModelVersions(name)
        if version in versions.loaded():
            return f"it was stored before, and is {versions.use_of(version, {})}"
        same = versions.interface in (None, interface_of(spec))
        newest = versions.live is None or versions.live.version < version
        if self._settings.poll_s and versions.release.follows and newest and same:
            return "stored, and served from the next look at the repository on, as newer versions are followed"
        release = {"live": version, **({} if same else {"interface": ANY_INTERFACE})}
        asked = f"PUT /v1/models/{name}/release with {json.dumps(release)}"
        return f"stored, not served; to serve it{'' if same else ', though it takes other features'}: {asked}"
