"""Every change of what is served that somebody asks for, and what the server itself does about a version that fails.

An ordinary change is loaded and verified while what is served goes on, written down, and takes effect in one step:
whatever goes wrong before that leaves all as it was. The way back, or any other change of which all is loaded already,
waits for nothing: it cancels what is pending for its model and takes effect at once; then it is written down, and the
other workers are told. What is retired answers the requests that it has.
"""

import asyncio
import logging
from contextlib import suppress
from functools import partial
from pathlib import Path

from thimble.service.engine.artifact import read_artifact
from thimble.service.errors import RETRY_SECONDS, RequestError
from thimble.service.releases.catalogue import Catalogue
from thimble.service.releases.engine_faults import EngineFaults
from thimble.service.releases.following import START, Following
from thimble.service.releases.loader import Loader
from thimble.service.releases.others import OtherWorkers, Sync
from thimble.service.releases.refusals import refusing
from thimble.service.releases.release import FOLLOW_NEWEST, Release, ReleaseError
from thimble.service.releases.release_loader import OtherInterfaceError, ReleaseLoader
from thimble.service.releases.repository import Repository, StoreError, stored_version
from thimble.service.releases.sandbox.host import TIMEOUT_SECONDS
from thimble.service.releases.store import Store
from thimble.service.releases.stored_versions import StoredVersions
from thimble.service.releases.turns import Turns
from thimble.service.releases.versions import LoadedRelease, ModelVersions
from thimble.service.releases.withdrawal import Withdrawal
from thimble.service.settings import Settings

# How long the other workers may take for a release that is loaded, and for one that has to be.
SWITCH_SECONDS, LOAD_SECONDS = 10.0, TIMEOUT_SECONDS + 60.0
log = logging.getLogger("thimble")


class Changes:
    """Changes what a catalogue serves, of each model one change at a time.

    `stored` are the versions that there are to change to, and `following` serves what is decided elsewhere. Whoever
    asks for a change is named, `by`, for the log.
    """

    def __init__(
        self, settings: Settings, catalogue: Catalogue, repository: Repository | None, sync: Sync | None
    ) -> None:
        """Without a repository there is nothing to change to."""
        self._settings = settings
        self._catalogue = catalogue
        self._others = OtherWorkers(sync)
        self._store = Store(repository, self._in_force) if repository else None
        self._withdrawal = Withdrawal(settings, catalogue, self._take_out)
        self._engine_faults = EngineFaults(catalogue)
        self._loader = Loader(settings, self._withdrawal.see_to, self._engine_faults.see_to)
        self._turns = Turns()
        self.stored = StoredVersions(settings, catalogue, self._store, self._loader, self._turns)
        self.following = Following(catalogue, self._store, self._loader, self._turns)

    async def release(self, name: str, wanted: Release, by: str) -> None:
        """Serve what is wanted of a model. RequestError: why all is as it was, or what is not yet as it should be."""
        with refusing(name):
            versions, store = await self._changed(name)
            loaded, before = versions.present(wanted), versions.release
            ends = (before.canary and not wanted.canary) or (before.shadow and not wanted.shadow)
            if loaded is not None or ends:
                self._turns.supersede(name, "a release")
            same = wanted.model_copy(update={"interface": None}) == before
            if loaded is None or same:  # perhaps a file of it was replaced
                await self._load(versions, store, wanted, by)
            else:
                await self._switch_at_once(versions, store, wanted, loaded, by)

    async def unload(self, name: str, by: str) -> None:
        """Serve nothing of a model. RequestError: 404 there is no such model, or what is not yet as it should be."""
        with refusing(name):
            versions, store = await self._changed(name)
            self._turns.supersede(name, "an unload")
            wanted = versions.release.model_copy(update={"loaded": False})
            await self._switch_at_once(versions, store, wanted, LoadedRelease(), by)

    async def roll_back(self, name: str, by: str) -> None:
        """Serve what was live before, or else the version before, whatever features it takes.

        RequestError: 409 there is none, or what is not yet as it should be.
        """
        with refusing(name):
            versions, store = await self._changed(name)
            stored = {} if versions.previous in versions.loaded() else await store.versions(name)
            *others, last = versions.ways_back(stored)
            self._turns.supersede(name, "a rollback")
            for wanted in others:
                with suppress(OtherInterfaceError):
                    return await self._load_or_switch(versions, store, wanted, by)
            await self._load_or_switch(versions, store, last, by)

    async def load_file(self, path: Path) -> None:
        """Serve one file. ArtifactError: why it is refused."""
        artifact = read_artifact(path, self._settings.max_model_bytes)
        model = await self._loader.load_at_start(stored_version(path, artifact.spec.name))
        self._catalogue.switch(ModelVersions(model.name), FOLLOW_NEWEST, LoadedRelease(live=model), START)

    def stop(self) -> None:
        """Refuse what is pending: the server shuts down."""
        self._turns.stop()
        self.stored.stop()

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
        store = self.stored.changeable()
        store.check_writable()
        found = await self.stored.model(name)
        return self._catalogue.models.setdefault(name, found), store

    def _in_force(self, name: str) -> Release:
        versions = self._catalogue.models.get(name)
        return FOLLOW_NEWEST if versions is None else versions.in_force

    async def _load_or_switch(self, versions: ModelVersions, store: Store, wanted: Release, by: str) -> None:
        if (loaded := versions.present(wanted)) is None:
            await self._load(versions, store, wanted, by)
        else:
            await self._switch_at_once(versions, store, wanted, loaded, by)

    async def _load(self, versions: ModelVersions, store: Store, wanted: Release, by: str) -> None:
        """An ordinary change. RequestError, ArtifactError, ReleaseError, StoreError, UnavailableError."""
        await self._turns.take(versions.name, partial(self._load_and_switch, versions, store, wanted, by))
        await self._check_told(versions, await self._others.tell(versions.name, None, LOAD_SECONDS))

    async def _load_and_switch(self, versions: ModelVersions, store: Store, wanted: Release, by: str) -> None:
        name, before = versions.name, versions.release
        stored = await store.versions(name)
        loaded = await ReleaseLoader(versions, stored, self._loader, self._loader.load_while_serving, True).load(wanted)
        try:
            await store.write(name, versions.settled(wanted, loaded))
            if versions.release is not before:
                await store.keep(name)
                raise ReleaseError("a version without usable scores was taken out meanwhile, so ask again")
        except BaseException:
            versions.reject(loaded.shadow)
            raise
        self._catalogue.switch(versions, wanted, loaded, by)

    async def _switch_at_once(
        self, versions: ModelVersions, store: Store, wanted: Release, loaded: LoadedRelease, by: str
    ) -> None:
        """A change of which all is loaded.

        RequestError: it is in force, but 507 not written down, or 503 not served by all workers.
        """
        self._catalogue.switch(versions, wanted, loaded, by)
        telling = asyncio.create_task(self._others.tell(versions.name, versions.in_force, SWITCH_SECONDS))
        try:
            await store.keep(versions.name)
        except StoreError as error:
            problems = [f"{error}; it is in force, but will not outlast a restart before it is", *await telling]
            log.error("%s: %s", versions.name, "; ".join(problems))
            raise RequestError(507, "; ".join(problems)) from None
        await self._check_told(versions, await telling)

    async def _check_told(self, versions: ModelVersions, problems: list[str]) -> None:
        """RequestError 503: not all workers serve what was decided."""
        if self.following.was_overruled(versions):
            # another worker has decided at the same time: what was written last counts everywhere
            problem = await self.following.reconcile(versions.name)
            problems = [problem] if problem else await self._others.tell(versions.name, None, LOAD_SECONDS)
        if problems:
            raise RequestError(503, f"not all workers serve it: {'; '.join(problems)}", retry_after=RETRY_SECONDS)

    async def _take_out(self, versions: ModelVersions, release: Release, loaded: LoadedRelease, by: str) -> None:
        """Serve what is left without a version that gives no usable scores, whatever is being loaded at the time."""
        try:
            await self._switch_at_once(versions, self.stored.changeable(), release, loaded, by)
        except RequestError as error:
            log.error("%s", error.message)
