"""Loads what a release asks for."""

import logging
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from thimble.models.spec import ModelSpec
from thimble.service.engine.artifact import ArtifactError
from thimble.service.releases import release
from thimble.service.releases.interface import differences, interface_of, unlike
from thimble.service.releases.loader import Loader, Model
from thimble.service.releases.release import ANY_INTERFACE, Release, ReleaseError
from thimble.service.releases.repository import StoredVersion
from thimble.service.releases.shadow.host import Shadow
from thimble.service.releases.versions import LoadedRelease, ModelVersions, Refusal
from thimble.service.telemetry import metrics

Loaded = TypeVar("Loaded")
LoadVersion = Callable[[StoredVersion], Awaitable[Model]]
log = logging.getLogger("thimble")


class OtherInterfaceError(ReleaseError):
    """Why a version does not go with another: it takes other features."""


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
        live = loaded.live = await self._live(wanted, loaded)
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
            self.versions.refused[version] = Refusal(stored.stamps, str(error))
            raise
        refused = self.versions.refused.get(version)
        if refused is not None and refused.interface is None:
            del self.versions.refused[version]
        return model

    async def _live(self, wanted: Release, loaded: LoadedRelease) -> Model:
        interface = self.versions.required_interface(wanted)
        if wanted.live is None:
            return await self._newest(interface, loaded)
        return self._taking(interface, await self._version(wanted.live))

    async def _newest(self, interface: str | None, loaded: LoadedRelease) -> Model:
        """The newest version, or the newest that is good. One that was refused before is not tried twice."""
        for version, stored in self.stored.items():
            before = self.versions.refused.get(version)
            if self.strict or before is None or not before.holds(stored.stamps, interface):
                try:
                    return self._taking(interface, await self._version(version))
                except (ArtifactError, OtherInterfaceError) as error:
                    if self.strict:
                        raise
                    metrics.changed(self.versions.name, "refused")
                    log.error("refused %s", error)
            loaded.passed_over |= self.versions.refused[version].interface is not None
        if self.versions.live is not None and interface in (None, self.versions.interface):
            return self.versions.live
        raise ReleaseError(f"no version of {self.versions.name} can be served")

    def _taking(self, interface: str | None, model: Model) -> Model:
        """A version that is to be live, if it takes what it has to. OtherInterfaceError: it takes something else."""
        if interface in (None, model.interface):
            return model
        reason, live = f"version {model.version} of {model.name}", self.versions.live
        if live is not None and live.interface == interface:
            reason += f" {unlike(model.spec, live.spec)} version {live.version}, which is live "
            reason += f"({differences(model.spec, live.spec)})"
        else:
            reason += " takes other features than what was served before"
        reason += f', so requests would get 400; to serve it all the same, say "interface": "{ANY_INTERFACE}"'
        self.versions.refused[model.version] = Refusal(model.stored.stamps, reason, model.interface)
        if model is not self.versions.loaded().get(model.version):
            model.hold.release()  # nobody will ask it, so its file may go
        raise OtherInterfaceError(reason)

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
    """OtherInterfaceError: what is sent to the live version is not for this one."""
    if interface_of(spec) != live.interface:
        raise OtherInterfaceError(
            f"version {version} of {live.name} {unlike(spec, live.spec)} version {live.version}, which is live "
            f"beside it ({differences(spec, live.spec)})"
        )
