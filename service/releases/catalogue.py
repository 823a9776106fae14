"""The models that are served, and every change of them.

A change is loaded and verified beside what is served, written down, and takes effect in one step: whatever goes wrong
before that leaves all as it was. What is retired answers the requests that it has.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Protocol

from thimble.models.features import shown
from thimble.service.engine.artifact import ArtifactError, read_artifact
from thimble.service.errors import RequestError, StartupError
from thimble.service.releases.loader import Loader, Model
from thimble.service.releases.release import FOLLOW_NEWEST, Release, ReleaseError
from thimble.service.releases.release_loader import Load, LoadedRelease, ReleaseLoader
from thimble.service.releases.repository import (
    MODEL_FILE,
    NAME,
    Repository,
    Snapshot,
    StoredVersion,
    StoreError,
    TakenError,
    stored_version,
)
from thimble.service.releases.versions import ModelVersions
from thimble.service.settings import Settings
from thimble.service.telemetry.metrics import CHANGES, LIVE

log = logging.getLogger("thimble")


class Peers(Protocol):
    """The other workers of the server."""

    async def sync(self, model: str) -> list[str]:
        """Have all of them serve what is written down for a model. Returns what kept them from it."""
        ...


class Alone:
    """No other workers."""

    async def sync(self, model: str) -> list[str]:
        return []


class Registry:
    """All models of a repository."""

    def __init__(self, settings: Settings, peers: Peers, repository: Repository | None) -> None:
        """Without a repository the models are those of the settings' one file."""
        self._settings = settings
        self._peers = peers
        self._families: dict[str, ModelVersions] = {}
        self._loader = Loader(settings, self._spoiled)
        self._repository = repository
        self._changing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self.draining = False

    @classmethod
    async def open(cls, settings: Settings, peers: Peers | None = None) -> "Registry":
        """A registry of what the settings name, loaded. StartupError."""
        repository = None if settings.repository.is_file() else Repository(settings.repository)
        registry = cls(settings, peers or Alone(), repository)
        await registry.load()
        return registry

    async def load(self) -> None:
        """Load what is to be served, at a time when nothing else has to be done.

        StartupError: there is nothing, and nothing can come.
        """
        repository = self._repository
        if repository is None:
            await self._open_file(self._settings.repository)
            return
        seen = repository.snapshot()
        for name in seen:
            if problem := await self._follow(name, self._loader.load_now):
                log.error("%s", problem)
        if not any(self) and not self._settings.models_may_come:
            raise StartupError(
                f"{repository.folder}: none of its models can be served" if seen else _nothing_in(repository.folder)
            )
        if self._settings.poll_s:
            self._begin(self._poll(repository, seen, self._settings.poll_s))

    def __iter__(self) -> Iterator[Model]:
        """Everything that can be asked."""
        for family in self._families.values():
            for model, _ in family:
                yield model

    @property
    def families(self) -> list[ModelVersions]:
        """The models, with those that were unloaded or refused."""
        return list(self._families.values())

    def known_family(self, name: str) -> ModelVersions:
        """A model that is served or lies in the repository. RequestError 404."""
        if name in self._families:
            return self._families[name]
        if not self.stored(name):
            raise RequestError(404, f"there is no model {shown(name)} in the repository")
        return ModelVersions(name)

    def check_ready(self) -> None:
        """RequestError 503: why requests should go elsewhere."""
        if self.draining:
            raise RequestError(503, "the server is shutting down")
        if not any(family.live for family in self._families.values()):
            raise RequestError(503, "no model is loaded")

    def find(self, name: str | None = None, version: str | None = None) -> Model:
        """A model by its name, or the only one, in a version or the live one. RequestError 404: there is none."""
        family = self._family(name)
        return _loaded(family, family.live if version is None else family.version(version))

    def route(self, name: str | None, version: str | None, headers: Mapping[bytes, bytes]) -> Model:
        """The same for a request to be scored, which goes to the canary if its headers or chance say so."""
        family = self._family(name)
        return _loaded(family, family.pick(headers) if version is None else family.version(version))

    def _family(self, name: str | None) -> ModelVersions:
        if name is None:
            served = [family for family in self._families.values() if family.live]
            if len(served) == 1:
                return served[0]
            if not served:
                raise RequestError(404, "no model is loaded")
            raise RequestError(404, f"several models are served ({self._served()}), use /v1/models/MODEL/score")
        if name not in self._families:
            raise RequestError(404, f"no model {name[:64]!r} is served; there is {self._served() or 'none'}")
        return self._families[name]

    def beside(self, model: Model) -> Model | None:
        """The live version beside a canary, None beside others."""
        family = self._families.get(model.name)
        return family.live if family is not None and family.canary is model else None

    def stored(self, name: str) -> dict[int, StoredVersion]:
        """The versions of a model that are in the repository, the newest first."""
        return self._repository.versions(name) if self._repository and NAME.fullmatch(name) else {}

    def known(self) -> list[str]:
        """Names of all models in the repository and of all that are served."""
        return sorted({*self._families, *(self._repository.models() if self._repository else ())})

    async def release(self, name: str, wanted: Release) -> None:
        """Serve what is wanted of a model. RequestError: why all is as it was."""
        await self._change(name, lambda _: wanted)

    async def unload(self, name: str) -> None:
        """Serve nothing of a model. RequestError: 404 there is no such model."""
        await self._change(name, lambda family: family.release.model_copy(update={"loaded": False}))

    async def roll_back(self, name: str) -> None:
        """Serve what was live before, or else the version before. RequestError: 409 there is none."""
        await self._change(name, self._way_back)

    async def store(self, name: str, version: int, content: bytes) -> None:
        """Verify a version that came in a request and put it into the repository. RequestError: why it is not there."""
        repository = self._changeable()
        if not NAME.fullmatch(name):
            raise RequestError(
                400, f"{shown(name)} is no name for a model: letters, digits, '.', '_' and '-', at most 64"
            )
        async with self._changing:
            try:
                path = await self._loader.aside(partial(repository.receive, name, version, content))
                try:
                    await self._loader.verify(path)
                    await self._loader.aside(partial(repository.admit, name, version, path))
                finally:
                    await self._loader.aside(partial(repository.drop, path))
            except ArtifactError as error:
                reason = str(error).removeprefix(f"{path}: ")
                raise self._refused(name, ArtifactError(f"version {version} of {name}: {reason}")) from None
            except StoreError as error:
                raise self._refused(name, error) from None
        log.info("stored version %d of %s", version, name)

    async def reconcile(self, name: str) -> str | None:
        """Serve what is written down for a model. Returns what kept from it, None if nothing did."""
        async with self._changing:
            return await self._follow(name, self._loader.load_beside)

    def close(self) -> None:
        """End what runs beside the serving."""
        for task in self._tasks:
            task.cancel()
        for family in self._families.values():
            family.set_shadow(None)
        self._loader.close()

    async def _change(self, name: str, wanted: Callable[[ModelVersions], Release]) -> None:
        repository = self._changeable()
        async with self._changing:
            family, places = self.known_family(name), self.stored(name)
            before = family.release
            try:
                release = wanted(family)
                parts = await ReleaseLoader(family, places, self._loader, self._loader.load_beside, True).parts(release)
                try:
                    await asyncio.to_thread(repository.keep, name, release)
                    if family.release is not before:
                        repository.keep(name, family.release)
                        raise ReleaseError("a version without usable scores was taken out meanwhile, so ask again")
                except (ReleaseError, StoreError):
                    family.reject(parts.shadow)
                    raise
            except (ArtifactError, ReleaseError, StoreError) as error:
                raise self._refused(name, error) from None
            self._switch(family, release, parts)
        if problems := await self._peers.sync(name):
            raise RequestError(500, f"not all workers serve it: {'; '.join(problems)}")

    def _refused(self, name: str, error: ArtifactError | ReleaseError | StoreError) -> RequestError:
        CHANGES.labels(name, "refused").inc()
        log.error("refused a change of %s, which stays as it was: %s", name, error)
        conflict = isinstance(error, ReleaseError | TakenError)
        status = 400 if isinstance(error, ArtifactError) else 409 if conflict else 507
        return RequestError(status, str(error))

    async def _follow(self, name: str, load: Load) -> str | None:
        """Serve what is written down for a model as far as it can be had. Returns what kept from it."""
        repository = self._repository
        assert repository is not None
        family = self._families.setdefault(name, ModelVersions(name))
        while True:
            before = family.release
            try:
                release = repository.release(name)
                parts = await ReleaseLoader(family, repository.versions(name), self._loader, load, False).parts(release)
            except (ArtifactError, ReleaseError) as error:
                CHANGES.labels(name, "refused").inc()
                return str(error)
            if family.release is before:
                break
            family.reject(parts.shadow)  # a version was taken out meanwhile, so something else is written down
        self._switch(family, release, parts)
        return "; ".join(parts.missing) or None

    def _switch(self, family: ModelVersions, release: Release, parts: LoadedRelease) -> None:
        if parts.canary is None:
            release = release.model_copy(update={"canary": None})
        before = family.live
        retired = family.switch(release, parts.live, parts.canary, parts.also)
        family.set_shadow(parts.shadow)
        self._families[family.name] = family
        for model in retired:
            model.metrics.withdraw()
        for model, _ in family:
            model.announce()
        LIVE.labels(family.name).set(parts.live.version if parts.live else 0)
        if parts.live is not before:
            CHANGES.labels(family.name, "released").inc()
            log.info("%s: %s answers now, %s before", family.name, _named(parts.live), _named(before))

    def _way_back(self, family: ModelVersions) -> Release:
        assert self._repository is not None
        if family.live is None:
            raise ReleaseError(f"{family.name} is not loaded")
        release, live = family.release, family.live.version
        older = (version for version in self._repository.versions(family.name) if version < live)
        before = family.previous or next((version for version in older if version not in release.taken_out), None)
        if before is None:
            raise ReleaseError(f"there is no version of {family.name} to go back to from {live}")
        return Release(live=before, also=release.also, taken_out=release.taken_out)

    def _spoiled(self, name: str, version: int) -> None:
        self._begin(self._take_out(name, version))

    async def _take_out(self, name: str, version: int) -> None:
        """Take a version that gives no usable scores out of the traffic, whatever is being loaded at the time."""
        family = self._families[name]
        loaded, release = family.loaded(), family.release
        taken_out = (*release.taken_out, version)
        if family.canary is not None and family.canary.version == version:
            wanted = release.model_copy(update={"canary": None, "taken_out": taken_out})
            parts = LoadedRelease(live=family.live, shadow=family.shadow)
        elif family.live is not None and family.live.version == version:
            if family.previous not in loaded:
                log.error("version %d of %s gives no usable scores, and there is none to go back to", version, name)
                return
            wanted = Release(live=family.previous, also=release.also, taken_out=taken_out)
            parts = LoadedRelease(live=loaded[family.previous])
        else:
            return
        log.error("version %d of %s gives no usable scores and is taken out", version, name)
        parts.also = [loaded[number] for number in release.also if number in loaded]
        try:
            if self._repository is not None:
                self._repository.keep(name, wanted)
        except StoreError as error:
            log.error("this will not outlast a restart: %s", error)
        CHANGES.labels(name, "rolled_back").inc()
        self._switch(family, wanted, parts)
        await self._peers.sync(name)

    async def _poll(self, repository: Repository, seen: dict[str, Snapshot], seconds: float) -> None:
        """Serve what appears in the repository, once two looks have found it the same: files grow while they come."""
        served = before = seen
        while True:
            await asyncio.sleep(seconds)
            try:
                now = await asyncio.to_thread(repository.snapshot)
            except OSError as error:
                log.error("%s: %s", repository.folder, error.strerror)
                continue
            for name, look in now.items():
                if look == before.get(name) and look != served.get(name):
                    served = {**served, name: look}
                    if problem := await self.reconcile(name):
                        log.error("%s", problem)
            before = now

    def _changeable(self) -> Repository:
        if self._repository is None:
            raise RequestError(409, f"{self._settings.repository} is one file; models come and go in a repository")
        return self._repository

    async def _open_file(self, path: Path) -> None:
        try:
            artifact = read_artifact(path, self._settings.max_model_bytes)
            model = await self._loader.load_now(stored_version(path, artifact.spec.name))
        except ArtifactError as error:
            raise StartupError(str(error)) from None
        self._switch(ModelVersions(model.name), FOLLOW_NEWEST, LoadedRelease(live=model))

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _served(self) -> str:
        return ", ".join(f"{model.name} version {model.version}" for model in self)


def _loaded(family: ModelVersions, model: Model | None) -> Model:
    if model is None:
        raise RequestError(404, f"model {family.name} is not loaded")
    return model


def _named(model: Model | None) -> str:
    return "nothing" if model is None else f"version {model.version}"


def _nothing_in(folder: Path) -> str:
    inside = any(folder.glob(f"[1-9]*/{MODEL_FILE}"))
    hint = f"; its parent {folder.absolute().parent} may be the repository" if inside else ""
    return f"{folder}: neither a {MODEL_FILE} nor a repository of MODEL/VERSION/{MODEL_FILE}{hint}"
