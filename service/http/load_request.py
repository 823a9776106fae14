"""Triton's request to load a model: which of its versions, and files of versions that come along."""

import binascii
import re
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Base64Bytes, BaseModel, ConfigDict, Field, Json, SkipValidation

from thimble.models.conversions import shown
from thimble.service.errors import RequestError
from thimble.service.releases.release import Release, Version
from thimble.service.releases.repository import MODEL_FILE, VERSION
from thimble.service.wire.validation import validated

_FILE = re.compile(rf"file:(.*)/{re.escape(MODEL_FILE)}", re.DOTALL)


class LatestVersions(BaseModel):
    """So many of the newest versions; without a number the newest, also of those still to come."""

    num_versions: Annotated[int, Field(gt=0)] | None = None


class SpecificVersions(BaseModel):
    versions: Annotated[list[Version], Field(min_length=1)]


class VersionPolicy(BaseModel):
    """One of these. The highest of several versions is live."""

    latest: LatestVersions | None = None
    specific: SpecificVersions | None = None
    all: dict[str, Any] | None = None


class ConfigParameter(BaseModel):
    string_value: Literal["changes"]


class ConfigParameters(BaseModel):
    """`interface` says that the live version may take other features than the one before."""

    interface: ConfigParameter | None = None


class LoadConfig(BaseModel):
    """Of a model configuration in Triton's form only this is looked at."""

    name: str | None = None
    parameters: ConfigParameters | None = None
    version_policy: Annotated[
        VersionPolicy | None, Field(validation_alias=AliasChoices("version_policy", "versionPolicy"))
    ] = None


class LoadParameters(BaseModel):
    """`config` is JSON as text. `file:VERSION/model.onnx` is the content of a version in base64."""

    model_config = ConfigDict(extra="allow")
    # files may be large, so they are decoded once, by LoadRequest, and other parameters are not looked at
    __pydantic_extra__: dict[str, SkipValidation[Base64Bytes]] = Field(init=False)

    config: Json[LoadConfig] | None = None


class LoadBody(BaseModel):
    parameters: LoadParameters = LoadParameters()


class LoadRequest:
    """What a body asks for. `files` are the contents of versions that it brings along."""

    def __init__(self, model: str, body: bytes) -> None:
        """RequestError 400."""
        parameters = validated(LoadBody, body).parameters
        files: dict[str, Any] = parameters.model_extra or {}
        self.files = {_version_of(key): _decoded(key, files[key]) for key in files if key.startswith("file:")}
        config = parameters.config or LoadConfig()
        if config.name not in (None, model):
            raise RequestError(400, f"config: its name {shown(config.name)} is not that of the model")
        self._policy = config.version_policy
        changes = config.parameters and config.parameters.interface
        self._interface = changes.string_value if changes else None

    def release(self, stored: list[int]) -> Release:
        """What is to be served, where these versions are in the repository. The highest of several is live.

        RequestError 400: a version that is not there.
        """
        match self._policy:
            case None if self.files:
                chosen = sorted(self.files)
            case VersionPolicy(specific=SpecificVersions(versions=versions)):
                chosen = sorted(versions)
            case None | VersionPolicy(latest=LatestVersions(num_versions=None)):
                return Release(interface=self._interface)
            case VersionPolicy(latest=LatestVersions(num_versions=int(count))):
                chosen = sorted(stored)[-count:]
            case VersionPolicy(all=dict()):
                chosen = sorted(stored)
            case _:
                chosen = []
        if not chosen:
            raise RequestError(400, "config: version_policy is none of latest, all, and specific with its versions")
        *also, live = chosen
        live_or_newest = None if live == max(stored, default=live) else live
        return Release(live=live_or_newest, also=tuple(also), interface=self._interface)


def _version_of(key: str) -> int:
    match = _FILE.fullmatch(key)
    if match is None:
        raise RequestError(400, f"{shown(key)} is not file:VERSION/{MODEL_FILE}")
    return version_from(match[1])


def version_from(text: str) -> int:
    """The number of a version. RequestError 400."""
    if not VERSION.fullmatch(text):
        raise RequestError(400, f"{shown(text)} is no version: a positive integer of at most 18 digits")
    return int(text)


def _decoded(key: str, content: Any) -> bytes:
    try:
        return binascii.a2b_base64(content, strict_mode=True)
    except (binascii.Error, TypeError, ValueError):
        raise RequestError(400, f"{shown(key)}: its content is not base64") from None
