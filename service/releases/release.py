"""What is to be served of a model: which version answers, which gets a share, which only listens."""

import re
from pathlib import Path
from typing import Annotated, Final, Self

import xxhash
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from thimble.models.base import sentence
from thimble.models.files import read_file
from thimble.service.errors import passing

Version = Annotated[int, Field(gt=0, lt=10**18)]
# Far more than a release of any number of versions that are ever loaded at once.
MAX_BYTES = 1 << 20
# The word with which a release may change what a model takes.
ANY_INTERFACE: Final = "changes"
_INTERFACE = re.compile(rf"^({ANY_INTERFACE}|[0-9a-f]{{32}})$")
_HASHES = 1 << 64


def _known_interface(text: str) -> str:
    if not _INTERFACE.fullmatch(text):
        raise ValueError(f'it is neither "{ANY_INTERFACE}" nor the digest of what a version takes')
    return text


Interface = Annotated[str, AfterValidator(_known_interface), Field(json_schema_extra={"pattern": _INTERFACE.pattern})]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Canary(_Strict):
    """A version that answers a share of the requests that name no version."""

    version: Version
    weight: Annotated[float, Field(gt=0, lt=1)]

    def takes(self, model: str, key: bytes) -> bool:
        """Whether requests with a routing key go to it: always the same keys, and with a larger weight more of them."""
        return xxhash.xxh3_64_intdigest(model.encode() + b"\0" + key) < self.weight * _HASHES


class Shadow(_Strict):
    """A version that scores a share of what the live version scored, to be compared and never answered."""

    version: Version
    share: Annotated[float, Field(gt=0, le=1)] = 1.0


class Release(_Strict):
    """The versions of a model and their roles.

    `live` answers; without it, it is the newest good version, also of those still to come. `also` are versions that
    answer only requests that name them. A model that is not `loaded` answers nothing. `taken_out` are the versions that
    the server itself has taken out for want of usable scores: no way back leads to them. `interface` is what the live
    version has to take: `changes` for whatever it does, or the digest of what was served when the server wrote this
    down; without it, what was served last.
    """

    live: Version | None = None
    canary: Canary | None = None
    shadow: Shadow | None = None
    also: tuple[Version, ...] = ()
    loaded: bool = True
    taken_out: tuple[Version, ...] = ()
    interface: Interface | None = None

    @property
    def follows(self) -> bool:
        """Whether newer versions become live by themselves."""
        return self.live is None and self.loaded

    def role_of(self, version: int) -> str | None:
        """What a version is in it, None for nothing."""
        roles = dict.fromkeys(self.also, "kept for requests that name it")
        if self.shadow is not None:
            roles[self.shadow.version] = "the shadow"
        if self.canary is not None:
            roles[self.canary.version] = "the canary"
        if self.live is not None:
            roles[self.live] = "live"
        return roles.get(version) if self.loaded else None

    @model_validator(mode="after")
    def _each_version_has_one_role(self) -> Self:
        roles = {"canary": self.canary, "shadow": self.shadow}
        for role, version in ((role, it.version) for role, it in roles.items() if it is not None):
            if self.live is None:
                raise ValueError(f"a {role} goes beside a live version, so name that too")
            if version == self.live:
                raise ValueError(f"version {version} cannot be live and {role} at once")
        return self


FOLLOW_NEWEST = Release()


class ReleaseError(ValueError):
    """Why a release is none."""


def parsed(content: bytes) -> Release:
    """A release from JSON. ReleaseError says in one sentence what is wrong with it."""
    try:
        return Release.model_validate_json(content)
    except ValidationError as error:
        raise ReleaseError(sentence(error)) from None


def read(path: Path) -> Release:
    """The release that a file holds; without a file the newest version is followed.

    ReleaseError: it holds none. OSError: that cannot be told now.
    """
    try:
        return parsed(read_file(path, MAX_BYTES))
    except FileNotFoundError:
        return FOLLOW_NEWEST
    except OSError as error:
        if passing(error):
            raise
        raise ReleaseError(f"{path}: {error.strerror}") from None
    except ReleaseError as error:
        raise ReleaseError(f"{path}: {error}") from None
