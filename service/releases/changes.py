"""Every change of what is served.

An ordinary change is loaded and verified while what is served goes on, written down, and takes effect in one step:
whatever goes wrong before that leaves all as it was. The way back, or any other change of which all is loaded already,
waits for nothing: it cancels what is pending for its model and takes effect at once; then it is written down, and the
other workers are told. What is retired answers the requests that it has.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from thimble.models.conversions import shown
from thimble.service.engine.artifact import ArtifactError, read_artifact
from thimble.service.errors import RETRY_SECONDS, RequestError
from thimble.service.releases.catalogue import Catalogue
from thimble.service.releases.engine_faults import EngineFaults
from thimble.service.releases.loader import Loader
from thimble.service.releases.refusals import refusing, sentence_of
from thimble.service.releases.release import FOLLOW_NEWEST, Release, ReleaseError
from thimble.service.releases.release_loader import LoadVersion, ReleaseLoader
from thimble.service.releases.repository import NAME, Repository, StoredVersion, StoreError, stored_version
from thimble.service.releases.sandbox.host import TIMEOUT_SECONDS
from thimble.service.releases.store import Store
from thimble.service.releases.turns import Turns
from thimble.service.releases.versions import LoadedRelease, ModelVersions
from thimble.service.releases.withdrawal import Withdrawal
from thimble.service.settings import Settings
from thimble.service.telemetry import metrics

# How long the other workers may take for a release that is loaded, and for one that has to be.
SWITCH_SECONDS, LOAD_SECONDS = 10.0, TIMEOUT_SECONDS + 60.0
log = logging.getLogger("thimble")

Sync = Callable[[str, Release | None], Awaitable[list[str]]]
"""Has the server's other workers serve a release of a model, or, for None, what is written down for it. Returns what
kept them from it."""


class Changes:
    """Changes what a catalogue serves, of each model one change at a time."""

    def __init__(
        self, settings: Settings, catalogue: Catalogue, repository: Repository | None, sync: Sync | None
    ) -> None:
        """Without a repository there is nothing to change to."""
        self._settings = settings
        self._catalogue = catalogue
        self._sync = sync
        self._store = Store(repository, self._in_force) if repository else None
        self._withdrawal = Withdrawal(settings, catalogue, self._take_out)
        self._engine_faults = EngineFaults(catalogue)
        self._loader = Loader(settings, self._withdrawal.see_to, self._engine_faults.see_to)
        self._turns: defaultdict[str, Turns] = defaultdict(Turns)
        self._pushes: defaultdict[str, Turns] = defaultdict(Turns)
        # Of each model, what another worker has decided last.
        self._applied: dict[str, Release] = {}

    async def stored(self, name: str) -> dict[int, StoredVersion]:
        """The versions of a model that are in the repository, the newest first. UnavailableError."""
        return await self._store.versions(name) if self._store and NAME.fullmatch(name) else {}

    async def known(self) -> list[str]:
        """Names of all models in the repository and of all that are served. UnavailableError."""
        stored = await self._store.models() if self._store else []
        return sorted({*self._catalogue.models, *stored})

    async def model_versions(self, name: str) -> ModelVersions:
        """A model that is served or lies in the repository. RequestError 404, UnavailableError."""
        versions = self._catalogue.models.get(name)
        if versions is None and not await self.stored(name):
            raise RequestError(404, f"there is no model {shown(name)} in the repository")
        return versions or ModelVersions(name)

    async def release(self, name: str, wanted: Release) -> None:
        """Serve what is wanted of a model. RequestError: why all is as it was, or what is not yet as it should be."""
        with refusing(name):
            versions, store = await self._changed(name)
            loaded, before = versions.present(wanted), versions.release
            ends = (before.canary and not wanted.canary) or (before.shadow and not wanted.shadow)
            if loaded is not None or ends:
                self._supersede(name, "a release")
            if loaded is None or wanted == before:  # perhaps a file of it was replaced
                await self._load(versions, store, wanted)
            else:
                await self._switch_at_once(versions, store, wanted, loaded)

    async def unload(self, name: str) -> None:
        """Serve nothing of a model. RequestError: 404 there is no such model, or what is not yet as it should be."""
        with refusing(name):
            versions, store = await self._changed(name)
            self._supersede(name, "an unload")
            wanted = versions.release.model_copy(update={"loaded": False})
            await self._switch_at_once(versions, store, wanted, LoadedRelease())

    async def roll_back(self, name: str) -> None:
        """Serve what was live before, or else the version before.

        RequestError: 409 there is none, or what is not yet as it should be.
        """
        with refusing(name):
            versions, store = await self._changed(name)
            stored = {} if versions.previous in versions.loaded() else await store.versions(name)
            wanted = versions.before(stored)
            self._supersede(name, "a rollback")
            if (loaded := versions.present(wanted)) is None:
                await self._load(versions, store, wanted)
            else:
                await self._switch_at_once(versions, store, wanted, loaded)

    async def store(self, name: str, version: int, content: bytes) -> None:
        """Verify a version that came in a request and put it into the repository. RequestError: why it is not there."""
        store = self._changeable()
        if not NAME.fullmatch(name):
            raise RequestError(
                400, f"{shown(name)} is no name for a model: letters, digits, '.', '_' and '-', at most 64"
            )
        with refusing(name):
            await self._pushes[name].take(partial(store.push, name, version, content, self._loader.verify))
        log.info("stored version %d of %s", version, name)

    async def follow(self, name: str) -> str | None:
        """Serve what is written down for a model. Returns what kept from it; whatever is worth another try is raised.

        What this process has decided and could not write yet goes before a file that nobody has written since.
        """
        try:
            return await self._turns[name].take(partial(self._follow, name, self._loader.load_while_serving))
        except RequestError as superseded:
            log.info("%s", superseded.message)
            return None

    async def reconcile(self, name: str) -> str | None:
        """Serve what is written down for a model, whatever it is. Returns what kept from it. Never raises."""
        try:
            assert self._store is not None
            self._store.fall_back(name)
            return await self.follow(name)
        except Exception as error:
            return sentence_of(error)

    async def apply(self, name: str, release: Release) -> str | None:
        """Serve at once what another worker has decided for a model, which may not be written down yet.

        Returns what kept from it, None if nothing did. Never raises.
        """
        try:
            self._supersede(name, "what another worker was asked for")
            versions = self._catalogue.models.setdefault(name, ModelVersions(name))
            if (loaded := versions.present(release)) is None:
                load = partial(self._follow, name, self._loader.load_while_serving, release)
                return await self._turns[name].take(load)
            self._switch_to_applied(versions, release, loaded)
        except Exception as error:
            return sentence_of(error)
        return None

    async def load_at_start(self, name: str) -> str | None:
        """Serve what is written down for a model, at a time when nothing else has to be done.

        Returns what kept from it; whatever is worth another try is raised.
        """
        return await self._follow(name, self._loader.load_at_start)

    async def load_file(self, path: Path) -> None:
        """Serve one file. ArtifactError: why it is refused."""
        artifact = read_artifact(path, self._settings.max_model_bytes)
        model = await self._loader.load_at_start(stored_version(path, artifact.spec.name))
        self._catalogue.switch(ModelVersions(model.name), FOLLOW_NEWEST, LoadedRelease(live=model))

    def stop(self) -> None:
        """Refuse what is pending: the server shuts down."""
        for turns in (*self._turns.values(), *self._pushes.values()):
            turns.supersede(RequestError(503, "the server is shutting down"))

    def close(self) -> None:
        self._withdrawal.close()
        self._engine_faults.close()
        for versions in self._catalogue.models.values():
            versions.set_shadow(None)
        self._loader.close()
        if self._store is not None:
            self._store.close()

    async def _changed(self, name: str) -> tuple[ModelVersions, Store]:
        """A model that is to be changed, and where that is written down. RequestError, StoreError, UnavailableError."""
        store = self._changeable()
        store.check_writable()
        found = await self.model_versions(name)
        return self._catalogue.models.setdefault(name, found), store

    def _changeable(self) -> Store:
        if self._store is None:
            raise RequestError(409, f"{self._settings.repository} is one file; models come and go in a repository")
        return self._store

    def _in_force(self, name: str) -> Release:
        versions = self._catalogue.models.get(name)
        return FOLLOW_NEWEST if versions is None else versions.release

    def _supersede(self, name: str, by: str) -> None:
        """Cancel what is pending for a model."""
        self._turns[name].supersede(RequestError(409, f"{by} of {name} came first; ask again if this is still wanted"))

    async def _load(self, versions: ModelVersions, store: Store, wanted: Release) -> None:
        """An ordinary change. RequestError, ArtifactError, ReleaseError, StoreError, UnavailableError."""
        await self._turns[versions.name].take(partial(self._load_and_switch, versions, store, wanted))
        await self._check_told(versions, await self._tell(versions.name, None, LOAD_SECONDS))

    async def _load_and_switch(self, versions: ModelVersions, store: Store, wanted: Release) -> None:
        name, before = versions.name, versions.release
        stored = await store.versions(name)
        loaded = await ReleaseLoader(versions, stored, self._loader, self._loader.load_while_serving, True).load(wanted)
        try:
            await store.write(name, wanted)
            if versions.release is not before:
                await store.keep(name)
                raise ReleaseError("a version without usable scores was taken out meanwhile, so ask again")
        except BaseException:
            versions.reject(loaded.shadow)
            raise
        self._catalogue.switch(versions, wanted, loaded)

    async def _switch_at_once(
        self, versions: ModelVersions, store: Store, wanted: Release, loaded: LoadedRelease
    ) -> None:
        """A change of which all is loaded.

        RequestError: it is in force, but 507 not written down, or 503 not served by all workers.
        """
        self._catalogue.switch(versions, wanted, loaded)
        telling = asyncio.create_task(self._tell(versions.name, versions.release, SWITCH_SECONDS))
        try:
            await store.keep(versions.name)
        except StoreError as error:
            problems = [f"{error}; it is in force, but will not outlast a restart before it is", *await telling]
            log.error("%s: %s", versions.name, "; ".join(problems))
            raise RequestError(507, "; ".join(problems)) from None
        await self._check_told(versions, await telling)

    async def _tell(self, name: str, release: Release | None, seconds: float) -> list[str]:
        """Have the other workers serve a release, or what is written down. Returns what kept them from it."""
        if self._sync is None:
            return []
        try:
            async with asyncio.timeout(seconds):
                return await self._sync(name, release)
        except TimeoutError:
            return [f"some have not answered within {seconds:g} s"]
        except Exception as error:
            return [sentence_of(error)]

    async def _check_told(self, versions: ModelVersions, problems: list[str]) -> None:
        """RequestError 503: not all workers serve what was decided."""
        if versions.release is self._applied.get(versions.name):
            # another worker has decided at the same time: what was written last counts everywhere
            problem = await self.reconcile(versions.name)
            problems = [problem] if problem else await self._tell(versions.name, None, LOAD_SECONDS)
        if problems:
            raise RequestError(503, f"not all workers serve it: {'; '.join(problems)}", retry_after=RETRY_SECONDS)

    async def _follow(self, name: str, load: LoadVersion, decided: Release | None = None) -> str | None:
        """Serve what is decided, or else written down, as far as it can be had. Returns what kept from it."""
        store = self._changeable()
        # also if nothing of it can be served: it knows why
        versions = self._catalogue.models.setdefault(name, ModelVersions(name))
        while True:
            before = versions.release
            try:
                release, stored = (decided, await store.versions(name)) if decided else await store.read(name)
                loaded = await ReleaseLoader(versions, stored, self._loader, load, False).load(release)
            except (ArtifactError, ReleaseError) as error:
                metrics.changed(name, "refused")
                return str(error)
            if versions.release is before:
                break
            versions.reject(loaded.shadow)  # a version was taken out meanwhile, so something else is to be served
        if decided is None:
            self._catalogue.switch(versions, release, loaded)
        else:
            self._switch_to_applied(versions, release, loaded)
        return "; ".join(loaded.missing) or None

    def _switch_to_applied(self, versions: ModelVersions, release: Release, loaded: LoadedRelease) -> None:
        assert self._store is not None
        self._store.run_ahead(versions.name)
        self._catalogue.switch(versions, release, loaded)
        self._applied[versions.name] = versions.release

    async def _take_out(self, versions: ModelVersions, release: Release, loaded: LoadedRelease) -> None:
        """Serve what is left without a version that gives no usable scores, whatever is being loaded at the time."""
        try:
            await self._switch_at_once(versions, self._changeable(), release, loaded)
        except RequestError as error:
            log.error("%s", error.message)
