"""Loads what a release asks for."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from thimble.models.spec import ModelSpec
from thimble.service.engine.artifact import ArtifactError
from thimble.service.releases.loader import Loader, Model
from thimble.service.releases.release import Release, ReleaseError
from thimble.service.releases.repository import StoredVersion
from thimble.service.releases.shadow.host import Shadow
from thimble.service.releases.versions import ModelVersions

Loaded = TypeVar("Loaded")
Load = Callable[[StoredVersion], Awaitable[Model]]
log = logging.getLogger("thimble")


@dataclass
class LoadedRelease:
    """The versions of a release, loaded. `missing` says why some of those that were asked for are not there."""

    live: Model | None = None
    canary: Model | None = None
    also: list[Model] = field(default_factory=list)
    shadow: Shadow | None = None
    missing: list[str] = field(default_factory=list)


class ReleaseLoader:
    """Loads the parts of one release of a model; what is loaded already is taken as it is."""

    def __init__(
        self,
        family: ModelVersions,
        places: dict[int, StoredVersion],
        loader: Loader,
        load: Load,
        strict: bool,
    ) -> None:
        """`places` are the versions in the repository.

        Unless `strict`, a release does without what is refused, but for a live version that it names.
        """
        self._family = family
        self._places = places
        self._loader = loader
        self._load = load
        self._strict = strict

    async def parts(self, wanted: Release) -> LoadedRelease:
        """Everything that is wanted. ArtifactError, ReleaseError: why it cannot be had."""
        parts = LoadedRelease()
        if not wanted.loaded:
            return parts
        live = parts.live = await (self._newest() if wanted.live is None else self._version(wanted.live))
        for version in wanted.also:
            if (model := await self._optional(parts, self._version(version))) is not None:
                parts.also.append(model)
        if wanted.canary is not None:
            parts.canary = await self._optional(parts, self._canary(wanted.canary.version, live))
        if wanted.shadow is not None:
            parts.shadow = await self._optional(parts, self._shadow(wanted, live))
        return parts

    async def _optional(self, parts: LoadedRelease, part: Awaitable[Loaded]) -> Loaded | None:
        try:
            return await part
        except (ArtifactError, ReleaseError) as error:
            if self._strict:
                raise
            parts.missing.append(str(error))
            return None

    async def _version(self, version: int) -> Model:
        loaded = self._family.loaded().get(version)
        place = self._places.get(version)
        if loaded is not None and (place is None or loaded.place.stamp == place.stamp):
            return loaded
        if place is None:
            raise ReleaseError(f"version {version} of {self._family.name} is not in the repository")
        try:
            model = await self._load(place)
        except ArtifactError as error:
            self._family.refused[version] = (place.stamp, str(error))
            raise
        self._family.refused.pop(version, None)
        return model

    async def _newest(self) -> Model:
        """The newest version, or the newest that is good. One that was refused before is not tried twice."""
        for version, place in self._places.items():
            stamp, _ = self._family.refused.get(version, (None, ""))
            if stamp == place.stamp and not self._strict:
                continue
            try:
                return await self._version(version)
            except ArtifactError as error:
                if self._strict:
                    raise
                log.error("refused %s", error)
        if self._family.live is not None:
            return self._family.live
        raise ReleaseError(f"no version of {self._family.name} can be served")

    async def _canary(self, version: int, live: Model) -> Model:
        model = await self._version(version)
        _check_features(model.spec, version, live)
        return model

    async def _shadow(self, wanted: Release, live: Model) -> Shadow:
        assert wanted.shadow is not None
        place = self._places.get(wanted.shadow.version)
        if place is None:
            raise ReleaseError(f"version {wanted.shadow.version} of {self._family.name} is not in the repository")
        present = self._family.shadow
        if present is not None and present.running and (present.place, present.wanted) == (place, wanted.shadow):
            shadow = present
        else:
            shadow = Shadow(self._loader.task(place.path), place, wanted.shadow)
            await shadow.start()
        try:
            _check_features(shadow.spec, place.version, live)
        except ReleaseError:
            if shadow is not present:
                shadow.stop()
            raise
        return shadow


def _check_features(spec: ModelSpec, version: int, live: Model) -> None:
    """ReleaseError: it does not take what the live version takes, so what is sent to the one is not for the other."""
    if spec.inputs != live.spec.inputs:
        raise ReleaseError(
            f"the features of version {version} of {live.name} are not those of version {live.version}, which is live"
        )
