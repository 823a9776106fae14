"""The versions of one model, and which of them answers."""

import random
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, NamedTuple

from thimble.service.errors import RequestError
from thimble.service.releases.interface import interface_of
from thimble.service.releases.loader import Model
from thimble.service.releases.release import ANY_INTERFACE, FOLLOW_NEWEST, Release, ReleaseError
from thimble.service.releases.repository import Stamps, StoredVersion
from thimble.service.releases.shadow.host import Shadow

ROUTING_KEY = b"routing-key"
# Older versions that a way back tries for one that takes the same features: each has to be loaded to be told.
WAYS_TRIED = 3
Part = Literal["live", "canary", "standby"]
_USES: dict[Part, str] = {"live": "live", "canary": "the canary", "standby": "kept for requests that name it"}


class Refusal(NamedTuple):
    """Why a version in this state is refused; `interface` is what it takes where that is the reason."""

    stamps: Stamps
    reason: str
    interface: str | None = None

    def holds(self, stamps: Stamps, interface: str | None) -> bool:
        """Whether a version is refused still: it is bad as before, or does not take this, None for whatever it does."""
        return self.stamps == stamps and (self.interface is None or interface not in (None, self.interface))


@dataclass
class LoadedRelease:
    """The versions of a release, loaded. `missing` says why some of those that were asked for are not there.

    `passed_over`: there are newer versions than the live one, and they take other features.
    """

    live: Model | None = None
    canary: Model | None = None
    also: list[Model] = field(default_factory=list)
    shadow: Shadow | None = None
    missing: list[str] = field(default_factory=list)
    passed_over: bool = False


class ModelVersions:
    """What is loaded of a model.

    `live` answers, but for the share of `canary`. `standby` answers who asks for a version by its number; the version
    that was live before is kept there, so that the way back takes no time. `refused` says of versions why they are.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.release: Release = FOLLOW_NEWEST
        self.interface: str | None = None
        self.live: Model | None = None
        self.canary: Model | None = None
        self.standby: dict[int, Model] = {}
        self.previous: int | None = None
        self.shadow: Shadow | None = None
        self.refused: dict[int, Refusal] = {}

    @property
    def in_force(self) -> Release:
        """The release, with what it takes, as it is written down and told to others."""
        return self.release.model_copy(update={"interface": self.interface})

    def __iter__(self) -> Iterator[tuple[Model, Part]]:
        """All that can be asked, the live version first."""
        if self.live is not None:
            yield self.live, "live"
        if self.canary is not None:
            yield self.canary, "canary"
        for model in self.standby.values():
            yield model, "standby"

    def loaded(self) -> dict[int, Model]:
        """All that can be asked, by version."""
        return {model.version: model for model, _ in self}

    def pick(self, headers: Mapping[bytes, bytes]) -> Model | None:
        """The version for a request that names none: by its routing key, if it has one, else by chance."""
        if self.canary is None or self.canary.health.suspected or self.canary.batcher.faults:
            return self.live
        wanted = self.release.canary
        assert wanted is not None
        key = headers.get(ROUTING_KEY)
        taken = random.random() < wanted.weight if key is None else wanted.takes(self.name, key)  # noqa: S311 - no secret
        return self.canary if taken else self.live

    def fallback(self, model: Model) -> Model | None:
        """What answers instead of a version that could not: the live one, or for that the one before."""
        other = self.standby.get(self.previous or 0) if model is self.live else self.live
        return other if other is not None and other.interface == model.interface else None

    def without(self, model: Model) -> tuple[Release, LoadedRelease] | None:
        """What is served without a version, of what is loaded; None where it answers nothing or nothing else could."""
        loaded, release = self.loaded(), self.release
        taken_out = (*release.taken_out, model.version)
        also = [loaded[number] for number in release.also if number in loaded and number != model.version]
        if model is self.canary:
            wanted = release.model_copy(update={"canary": None, "taken_out": taken_out})
            return wanted, LoadedRelease(live=self.live, also=also, shadow=self.shadow)
        before = loaded.get(self.previous or 0)
        if model is not self.live or before is None or before.interface != model.interface:
            return None
        return Release(live=before.version, also=release.also, taken_out=taken_out), LoadedRelease(
            live=before, also=also
        )

    def present(self, wanted: Release) -> LoadedRelease | None:
        """A release of which all is loaded already; None if something of it is not, or has to be looked for."""
        if not wanted.loaded:
            return LoadedRelease()
        models, shadow = self.loaded(), self.shadow if wanted.shadow else None
        named = {*wanted.also, *([wanted.canary.version] if wanted.canary else [])}
        if wanted.live not in models or not named <= models.keys() or (shadow and shadow.wanted) != wanted.shadow:
            return None
        live, canary = models[wanted.live], models[wanted.canary.version] if wanted.canary else None
        others = [interface_of(beside.spec) for beside in (canary, shadow) if beside]
        if {self.required_interface(wanted) or live.interface, *others} != {live.interface}:
            return None
        return LoadedRelease(live, canary, [models[version] for version in wanted.also], shadow)

    def required_interface(self, wanted: Release) -> str | None:
        """What the live version of a release has to take, None for whatever it does."""
        return None if wanted.interface == ANY_INTERFACE else wanted.interface or self.interface

    def settled(self, wanted: Release, loaded: LoadedRelease) -> Release:
        """A release that is loaded, with what its live version takes, or the last one that was live."""
        if loaded.live is not None:
            interface: str | None = loaded.live.interface
        else:
            interface = self.required_interface(wanted) or self.interface
        return wanted.model_copy(update={"interface": interface})

    def ways_back(self, stored: Mapping[int, StoredVersion]) -> list[Release]:
        """What may be served after a way back, the first that can be had; whatever features it takes, it was served.

        It is what was live before. Where that is not known, as after a start, it is the newest of the `stored` that is
        older and takes the same features, if a few tries find one, or else the newest that is older. ReleaseError:
        there is none.
        """
        if self.live is None:
            raise ReleaseError(f"{self.name} is not loaded")
        loaded, live, taken_out = self.loaded(), self.live.version, self.release.taken_out
        older = [it for it in stored.values() if it.version < live and it.version not in taken_out]
        last = self.previous or next((it.version for it in older), None)
        if last is None:
            raise ReleaseError(f"there is no version of {self.name} to go back to from {live}")
        also = tuple(version for version in self.release.also if version in loaded)  # nothing that it could wait for
        back = Release(live=last, also=also, taken_out=taken_out, interface=ANY_INTERFACE)
        tried = [] if self.previous else [it.version for it in older if self._may_be_live(it)][:WAYS_TRIED]
        return [*(back.model_copy(update={"live": version, "interface": None}) for version in tried), back]

    def _may_be_live(self, stored: StoredVersion) -> bool:
        """Whether a version is good and takes what the live one does, as far as is known."""
        model, refusal = self.loaded().get(stored.version), self.refused.get(stored.version)
        if model is not None:
            return model.interface == self.interface
        return refusal is None or not refusal.holds(stored.stamps, self.interface)

    def use_of(self, version: int, stored: Mapping[int, StoredVersion]) -> str | None:
        """What a version is needed for where the `stored` are, the newest first; None if it is not."""
        if self.shadow is not None and self.shadow.stored.version == version:
            return "the shadow"
        with suppress(ReleaseError):
            if version in {way.live for way in self.ways_back(stored)}:
                return "what a rollback may lead to"
        parts = {model.version: part for model, part in self}
        return None if version not in parts else _USES[parts[version]]

    def version(self, number: str) -> Model:
        """The version that a request names. RequestError 404."""
        for model, _ in self:
            if number == str(model.version):
                return model
        shown = number[:20].encode("unicode_escape").decode()
        there = ", ".join(f"version {model.version}" for model, _ in self) or "none"
        raise RequestError(404, f"version {shown} of {self.name} is not served; there is {there}")

    def switch(self, release: Release, loaded: LoadedRelease) -> list[Model]:
        """From now on these answer. Returns the versions that do not any more."""
        before, live = self.loaded(), loaded.live
        if self.live is not None and live is not None and live.version != self.live.version:
            self.previous = self.live.version
        if self.previous in release.taken_out:
            self.previous = None
        self.interface = self.settled(release, loaded).interface
        self.refused = {
            version: it for version, it in self.refused.items() if not it.interface or it.interface != self.interface
        }
        self.release = release.model_copy(update={"interface": None})
        self.live, self.canary = live, loaded.canary
        standby = [*loaded.also]
        if live is not None and self.previous in before:
            standby.append(before[self.previous])
        self.standby = {model.version: model for model in standby if model not in (live, loaded.canary)}
        self.set_shadow(loaded.shadow)
        return [model for model in before.values() if model not in self.loaded().values()]

    def set_shadow(self, shadow: Shadow | None) -> None:
        """From now on this one listens, and none before it."""
        if self.shadow is not None and self.shadow is not shadow:
            self.shadow.stop()
        self.shadow = shadow
        for model, _ in self:
            model.batcher.mirror = None
        if self.live is not None and shadow is not None:
            self.live.batcher.mirror = partial(shadow.mirror, self.live.version)

    def reject(self, shadow: Shadow | None) -> None:
        """End one that was started for nothing, unless it is the one that listens."""
        if shadow is not None and shadow is not self.shadow:
            shadow.stop()
