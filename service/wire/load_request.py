"""Triton's request to load a model: which of its versions, and files of versions that come along."""

import binascii
import re
from typing import Any

import orjson

from thimble.models.features import shown
from thimble.service.errors import RequestError
from thimble.service.releases.release import FOLLOW_NEWEST, Release
from thimble.service.releases.repository import MODEL_FILE, VERSION

_FILE = re.compile(rf"file:(.*)/{re.escape(MODEL_FILE)}", re.DOTALL)


class LoadRequest:
    """What a body asks for. `files` are the contents of versions that it brings along."""

    def __init__(self, model: str, body: bytes) -> None:
        """RequestError 400."""
        request = json_of(body, "the request") if body.strip() else {}
        parameters = request.get("parameters", {})
        if not isinstance(parameters, dict):
            raise RequestError(400, f"parameters: {shown(parameters)} is not an object")
        self.files = {_version_of(key): _decoded(key, parameters[key]) for key in parameters if key.startswith("file:")}
        self._policy = _policy(parameters.get("config"), model)

    def release(self, stored: list[int]) -> Release:
        """What is to be served, where these versions are in the repository. The highest of several is live.

        RequestError 400: a version that is not there.
        """
        match self._policy:
            case None if self.files:
                chosen = sorted(self.files)
            case None:
                return FOLLOW_NEWEST
            case {"specific": {"versions": [*versions]}}:
                chosen = sorted(version_from(str(version)) for version in versions)
            case {"latest": {"num_versions": int(count)}} if count > 0:
                chosen = sorted(stored)[-count:]
            case {"latest": {}}:
                return FOLLOW_NEWEST
            case {"all": {}}:
                chosen = sorted(stored)
            case _:
                chosen = []
        if not chosen:
            raise RequestError(400, "config: version_policy is none of latest, all, and specific with its versions")
        *also, live = chosen
        return Release(live=None if live == max(stored, default=live) else live, also=tuple(also))


def json_of(body: str | bytes, what: str) -> dict[str, Any]:
    """The object that a text holds. RequestError 400."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(400, f"{what}: invalid JSON: {error}") from None
    if not isinstance(value, dict):
        raise RequestError(400, f"{what} is {shown(value)}, not an object")
    return value


def _policy(config: Any, model: str) -> Any:
    if config is None:
        return None
    if not isinstance(config, str):
        raise RequestError(400, f"config: {shown(config)} is not a text")
    asked = json_of(config, "config")
    if asked.get("name", model) != model:
        raise RequestError(400, f"config: its name {shown(asked['name'])} is not that of the model")
    return asked.get("version_policy", asked.get("versionPolicy"))


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
