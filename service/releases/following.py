"""What was decided elsewhere, in the repository or by another worker, and is served here as well.

Unlike a change that somebody asks for, it is served as far as it can be had. What is not asked for in a release is not
taken by itself: a version that takes other features than the live one is passed over.
"""

import logging
from functools import partial

from thimble.service.engine.artifact import ArtifactError
from thimble.service.errors import RequestError
from thimble.service.releases.catalogue import Catalogue
from thimble.service.releases.loader import Loader
from thimble.service.releases.refusals import sentence_of
from thimble.service.releases.release import ANY_INTERFACE, Release, ReleaseError
from thimble.service.releases.release_loader import LoadVersion, ReleaseLoader
from thimble.service.releases.repository import StoreError
from thimble.service.releases.store import Store
from thimble.service.releases.turns import Turns
from thimble.service.releases.versions import LoadedRelease, ModelVersions
from thimble.service.telemetry import metrics

# Who has changed what is served.
START, POLLING, WORKER = "the start", "polling", "another worker"
log = logging.getLogger("thimble")


class Following:
    """Has a catalogue serve what its repository says, and what other workers decide."""

    def __init__(self, catalogue: Catalogue, store: Store | None, loader: Loader, turns: Turns) -> None:
        """Without a store there is nothing to follow."""
        self._catalogue = catalogue
        self._given = store
        self._loader = loader
        self._turns = turns
        # Of each model, what another worker has decided last.
        self._applied: dict[str, Release] = {}

    async def follow(self, name: str, by: str = POLLING) -> str | None:
        """Serve what is written down for a model. Returns what kept from it; whatever is worth another try is raised.

        What this process has decided and could not write yet goes before a file that nobody has written since.
        """
        try:
            return await self._turns.take(name, partial(self._follow, name, self._loader.load_while_serving, by))
        except RequestError as superseded:
            log.info("%s", superseded.message)
            return None

    async def reconcile(self, name: str, by: str = WORKER) -> str | None:
        """Serve what is written down for a model, whatever it is. Returns what kept from it. Never raises."""
        try:
            self._store.fall_back(name)
            return await self.follow(name, by)
        except Exception as error:
            return sentence_of(error)

    async def apply(self, name: str, release: Release) -> str | None:
        """Serve at once what another worker has decided for a model, which may not be written down yet.

        Returns what kept from it, None if nothing did. Never raises.
        """
        try:
            self._turns.supersede(name, "what another worker was asked for")
            versions = self._catalogue.models.setdefault(name, ModelVersions(name))
            if (loaded := versions.present(release)) is None:
                load = partial(self._follow, name, self._loader.load_while_serving, WORKER, release)
                return await self._turns.take(name, load)
            self._switch_to_applied(versions, release, loaded)
        except Exception as error:
            return sentence_of(error)
        return None

    async def load_at_start(self, name: str) -> str | None:
        """Serve what is written down for a model, at a time when nothing else has to be done.

        Returns what kept from it; whatever is worth another try is raised.
        """
        return await self._follow(name, self._loader.load_at_start, START)

    def was_overruled(self, versions: ModelVersions) -> bool:
        """Whether what is served of a model is what another worker has decided."""
        return versions.release is self._applied.get(versions.name)

    @property
    def _store(self) -> Store:
        assert self._given is not None
        return self._given

    async def _follow(self, name: str, load: LoadVersion, by: str, decided: Release | None = None) -> str | None:
        """Serve what is decided, or else written down, as far as it can be had. Returns what kept from it."""
        # also if nothing of it can be served: it knows why
        versions = self._catalogue.models.setdefault(name, ModelVersions(name))
        while True:
            before = versions.release
            try:
                release, stored = (
                    (decided, await self._store.versions(name)) if decided else await self._store.read(name)
                )
                loaded = await ReleaseLoader(versions, stored, self._loader, load, False).load(release)
            except (ArtifactError, ReleaseError) as error:
                metrics.changed(name, "refused")
                return str(error)
            if versions.release is before:
                break
            versions.reject(loaded.shadow)  # a version was taken out meanwhile, so something else is to be served
        if decided is None:
            self._catalogue.switch(versions, release, loaded, by)
        else:
            self._switch_to_applied(versions, release, loaded)
        if release.interface == ANY_INTERFACE or (loaded.passed_over and release.interface is None):
            await self._remember(name)
        return "; ".join(loaded.missing) or None

    def _switch_to_applied(self, versions: ModelVersions, release: Release, loaded: LoadedRelease) -> None:
        self._store.run_ahead(versions.name)
        self._catalogue.switch(versions, release, loaded, WORKER)
        self._applied[versions.name] = versions.release

    async def _remember(self, name: str) -> None:
        """Write down what features the live version takes: the word is spent, and who starts passes over the same."""
        try:
            await self._store.keep_unless_changed(name)
        except StoreError as error:
            log.warning("%s; so whoever starts serves what is wanted of %s, whatever features it takes", error, name)
