"""Every change of what is served.

A change is loaded and verified while what is served goes on, written down, and takes effect in one step: whatever goes
wrong before that leaves all as it was. What is retired answers the requests that it has.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from thimble.models.conversions import shown
from thimble.service.engine.artifact import ArtifactError, read_artifact
from thimble.service.errors import RequestError
from thimble.service.releases.catalogue import Catalogue
from thimble.service.releases.engine_faults import EngineFaults
from thimble.service.releases.loader import Loader, Model
from thimble.service.releases.release import FOLLOW_NEWEST, Release, ReleaseError
from thimble.service.releases.release_loader import ReleaseLoader
from thimble.service.releases.repository import NAME, Repository, StoredVersion, StoreError, TakenError, stored_version
from thimble.service.releases.versions import LoadedRelease, ModelVersions
from thimble.service.releases.withdrawal import Withdrawal
from thimble.service.settings import Settings
from thimble.service.telemetry.metrics import CHANGES, LIVE

log = logging.getLogger("thimble")

Sync = Callable[[str], Awaitable[list[str]]]
"""Has the server's other workers serve what is written down for a model. Returns what kept them from it."""


class Changes:
    """Changes what a catalogue serves, one change at a time."""

    def __init__(
        self, settings: Settings, catalogue: Catalogue, repository: Repository | None, sync: Sync | None
    ) -> None:
        """Without a repository there is nothing to change to."""
        self._settings = settings
        self._catalogue = catalogue
        self._repository = repository
        self._sync = sync
        self._withdrawal = Withdrawal(settings, catalogue, self._take_out)
        self._engine_faults = EngineFaults(catalogue)
        self._loader = Loader(settings, self._withdrawal.see_to, self._engine_faults.see_to)
        self._changing = asyncio.Lock()
        # A version may be taken out during a change: what is decided last is written last, and read only when written.
        self._writing = asyncio.Lock()

    def stored(self, name: str) -> dict[int, StoredVersion]:
        """The versions of a model that are in the repository, the newest first."""
        return self._repository.versions(name) if self._repository and NAME.fullmatch(name) else {}

    def known(self) -> list[str]:
        """Names of all models in the repository and of all that are served."""
        served = [*self._catalogue.models]
        return sorted({*served, *(self._repository.models() if self._repository else ())})

    def model_versions(self, name: str) -> ModelVersions:
        """A model that is served or lies in the repository. RequestError 404."""
        versions = self._catalogue.models.get(name)
        if versions is None and not self.stored(name):
            raise RequestError(404, f"there is no model {shown(name)} in the repository")
        return versions or ModelVersions(name)

    async def release(self, name: str, wanted: Release) -> None:
        """Serve what is wanted of a model. RequestError: why all is as it was."""
        await self._change(name, lambda _: wanted)

    async def unload(self, name: str) -> None:
        """Serve nothing of a model. RequestError: 404 there is no such model."""
        await self._change(name, lambda versions: versions.release.model_copy(update={"loaded": False}))

    async def roll_back(self, name: str) -> None:
        """Serve what was live before, or else the version before. RequestError: 409 there is none."""
        await self._change(name, self._previous)

    async def store(self, name: str, version: int, content: bytes) -> None:
        """Verify a version that came in a request and put it into the repository. RequestError: why it is not there."""
        repository, run = self._changeable(), self._loader.in_loader_thread
        if not NAME.fullmatch(name):
            raise RequestError(
                400, f"{shown(name)} is no name for a model: letters, digits, '.', '_' and '-', at most 64"
            )
        async with self._changing:
            try:
                path = await run(repository.receive, name, version, content)
                try:
                    await self._loader.verify(path)
                    await run(repository.admit, name, version, path)
                finally:
                    await run(repository.drop, path)
            except ArtifactError as error:
                reason = str(error).removeprefix(f"{path}: ")
                raise self._refused(name, ArtifactError(f"version {version} of {name}: {reason}")) from None
            except StoreError as error:
                raise self._refused(name, error) from None
        log.info("stored version %d of %s", version, name)

    async def reconcile(self, name: str) -> str | None:
        """Serve what is written down for a model. Returns what kept from it, None if nothing did."""
        async with self._changing:
            return await self._follow(name, self._loader.load_while_serving)

    async def load_at_start(self, name: str) -> str | None:
        """The same at a time when nothing else has to be done."""
        return await self._follow(name, self._loader.load_at_start)

    async def load_file(self, path: Path) -> None:
        """Serve one file. ArtifactError: why it is refused."""
        artifact = read_artifact(path, self._settings.max_model_bytes)
        model = await self._loader.load_at_start(stored_version(path, artifact.spec.name))
        self._switch(ModelVersions(model.name), FOLLOW_NEWEST, LoadedRelease(live=model))

    def close(self) -> None:
        self._withdrawal.close()
        self._engine_faults.close()
        for versions in self._catalogue.models.values():
            versions.set_shadow(None)
        self._loader.close()

    async def _change(self, name: str, wanted: Callable[[ModelVersions], Release]) -> None:
        repository = self._changeable()
        async with self._changing:
            versions = self.model_versions(name)
            before = versions.release
            loader = ReleaseLoader(versions, self.stored(name), self._loader, self._loader.load_while_serving, True)
            try:
                release = wanted(versions)
                loaded = await loader.load(release)
                try:
                    await self._keep(repository, name, release)
                    if versions.release is not before:
                        await self._keep(repository, name, versions.release)
                        raise ReleaseError("a version without usable scores was taken out meanwhile, so ask again")
                except (ReleaseError, StoreError):
                    versions.reject(loaded.shadow)
                    raise
            except (ArtifactError, ReleaseError, StoreError) as error:
                raise self._refused(name, error) from None
            self._switch(versions, release, loaded)
        if self._sync is not None and (problems := await self._sync(name)):
            raise RequestError(500, f"not all workers serve it: {'; '.join(problems)}")

    async def _keep(self, repository: Repository, name: str, release: Release) -> None:
        """Write down what is to be served, in a thread, as a disk may be slow. StoreError."""
        async with self._writing:
            await asyncio.to_thread(repository.keep, name, release)

    def _refused(self, name: str, error: ArtifactError | ReleaseError | StoreError) -> RequestError:
        CHANGES.labels(name, "refused").inc()
        log.error("refused a change of %s, which stays as it was: %s", name, error)
        conflict = isinstance(error, ReleaseError | TakenError)
        status = 400 if isinstance(error, ArtifactError) else 409 if conflict else 507
        return RequestError(status, str(error))

    async def _follow(self, name: str, load: Callable[[StoredVersion], Awaitable[Model]]) -> str | None:
        """Serve what is written down for a model as far as it can be had. Returns what kept from it."""
        repository = self._repository
        assert repository is not None
        versions = self._catalogue.models.get(name) or ModelVersions(name)
        self._catalogue.models[versions.name] = versions  # also if nothing of it can be served: it knows why
        while True:
            before = versions.release
            try:
                async with self._writing:
                    release, stored = repository.release(name), repository.versions(name)
                loaded = await ReleaseLoader(versions, stored, self._loader, load, False).load(release)
            except (ArtifactError, ReleaseError) as error:
                CHANGES.labels(name, "refused").inc()
                return str(error)
            if versions.release is before:
                break
            versions.reject(loaded.shadow)  # a version was taken out meanwhile, so something else is written down
        self._switch(versions, release, loaded)
        return "; ".join(loaded.missing) or None

    def _switch(self, versions: ModelVersions, release: Release, loaded: LoadedRelease) -> None:
        if loaded.canary is None:
            release = release.model_copy(update={"canary": None})
        before = versions.live
        retired = versions.switch(release, loaded)
        self._catalogue.models[versions.name] = versions
        for model in retired:
            model.metrics.withdraw()
        for model, _ in versions:
            model.announce()
        LIVE.labels(versions.name).set(loaded.live.version if loaded.live else 0)
        if loaded.live is not before:
            CHANGES.labels(versions.name, "released").inc()
            log.info("%s: %s answers now, %s before", versions.name, _named(loaded.live), _named(before))

    def _previous(self, versions: ModelVersions) -> Release:
        """What is served after a way back. ReleaseError: there is none."""
        if versions.live is None:
            raise ReleaseError(f"{versions.name} is not loaded")
        release, live = versions.release, versions.live.version
        older = (version for version in self.stored(versions.name) if version < live)
        before = versions.previous or next((version for version in older if version not in release.taken_out), None)
        if before is None:
            raise ReleaseError(f"there is no version of {versions.name} to go back to from {live}")
        return Release(live=before, also=release.also, taken_out=release.taken_out)

    async def _take_out(self, versions: ModelVersions, release: Release, loaded: LoadedRelease) -> None:
        """Serve what is left without a version that gives no usable scores, whatever is being loaded at the time."""
        self._switch(versions, release, loaded)  # before anything is waited for
        try:
            if self._repository is not None:
                await self._keep(self._repository, versions.name, release)
        except StoreError as error:
            log.error("this will not outlast a restart: %s", error)
        if self._sync is not None:
            await self._sync(versions.name)

    def _changeable(self) -> Repository:
        if self._repository is None:
            raise RequestError(409, f"{self._settings.repository} is one file; models come and go in a repository")
        return self._repository


def _named(model: Model | None) -> str:
    return "nothing" if model is None else f"version {model.version}"
