"""Loads what a release asks for."""

import logging
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from thimble.models.spec import ModelSpec
from thimble.service.engine.artifact import ArtifactError
from thimble.service.releases import release
from thimble.service.releases.loader import Loader, Model
from thimble.service.releases.release import Release, ReleaseError
from thimble.service.releases.repository import StoredVersion
from thimble.service.releases.shadow.host import Shadow
from thimble.service.releases.versions import LoadedRelease, ModelVersions

Loaded = TypeVar("Loaded")
LoadVersion = Callable[[StoredVersion], Awaitable[Model]]
log = logging.getLogger("thimble")


@dataclass(frozen=True)
class ReleaseLoader:
    """Loads what one release of a model asks for; what is loaded already is taken as it is.

    `stored` are the versions in the repository. Unless `strict`, a release does without what is refused, but for a live
    version that it names.
    """

    versions: ModelVersions
    stored: dict[int, StoredVersion]
    loader: Loader
    load_version: LoadVersion
    strict: bool

    async def load(self, wanted: Release) -> LoadedRelease:
        """Everything that is wanted.

        ArtifactError, ReleaseError: why it cannot be had. UnavailableError: why it cannot be had now.
        """
        loaded = LoadedRelease()
        if not wanted.loaded:
            return loaded
        live = loaded.live = await (self._newest() if wanted.live is None else self._version(wanted.live))
        for version in wanted.also:
            if (model := await self._optional(loaded, self._version(version))) is not None:
                loaded.also.append(model)
        if wanted.canary is not None:
            loaded.canary = await self._optional(loaded, self._canary(wanted.canary.version, live))
        if wanted.shadow is not None:
            loaded.shadow = await self._optional(loaded, self._shadow(wanted.shadow, live))
        return loaded

    async def _optional(self, loaded: LoadedRelease, loading: Awaitable[Loaded]) -> Loaded | None:
        try:
            return await loading
        except (ArtifactError, ReleaseError) as error:
            if self.strict:
                raise
            loaded.missing.append(str(error))
            return None

    async def _version(self, version: int) -> Model:
        present = self.versions.loaded().get(version)
        if present is not None and self.stored.get(version, present.stored).stamps == present.stored.stamps:
            return present
        stored = self._find(version)
        try:
            model = await self.load_version(stored)
        except ArtifactError as error:
            self.versions.refused[version] = (stored.stamps, str(error))
            raise
        self.versions.refused.pop(version, None)
        return model

    async def _newest(self) -> Model:
        """The newest version, or the newest that is good. One that was refused before is not tried twice."""
        for version, stored in self.stored.items():
            stamps, _ = self.versions.refused.get(version, (None, ""))
            if stamps == stored.stamps and not self.strict:
                continue
            try:
                return await self._version(version)
            except ArtifactError as error:
                if self.strict:
                    raise
                log.error("refused %s", error)
        if self.versions.live is not None:
            return self.versions.live
        raise ReleaseError(f"no version of {self.versions.name} can be served")

    async def _canary(self, version: int, live: Model) -> Model:
        model = await self._version(version)
        _check_features(model.spec, version, live)
        return model

    async def _shadow(self, wanted: release.Shadow, live: Model) -> Shadow:
        stored, present = self._find(wanted.version), self.versions.shadow
        if present is not None and present.running and (present.stored, present.wanted) == (stored, wanted):
            shadow = present
        else:
            if sys.platform != "linux":
                raise ReleaseError(
                    "a shadow needs Linux, whose sockets keep messages apart and tell when a process ends"
                )
            shadow = Shadow(self.loader.task(stored.path), stored, wanted)
            await shadow.start()
        try:
            _check_features(shadow.spec, stored.version, live)
        except ReleaseError:
            self.versions.reject(shadow)
            raise
        return shadow

    def _find(self, version: int) -> StoredVersion:
        if version not in self.stored:
            raise ReleaseError(f"version {version} of {self.versions.name} is not in the repository")
        return self.stored[version]


def _check_features(spec: ModelSpec, version: int, live: Model) -> None:
    """ReleaseError: it does not take what the live version takes, so what is sent to the one is not for the other."""
    if spec.inputs != live.spec.inputs:
        raise ReleaseError(
            f"the features of version {version} of {live.name} are not those of version {live.version}, which is live"
        )
