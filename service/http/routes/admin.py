"""Models come and go: the routes that change what is served.

Triton's repository routes, for its clients, and ours, which can say more: `/v1/models/MODEL/release` is all of what is
served of a model, to be read and replaced. Who may ask is settled before (`thimble.service.http.keys`).
"""

import asyncio
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from thimble.service.errors import RequestError
from thimble.service.http import bodies
from thimble.service.http.keys import Keys
from thimble.service.http.openapi import BINARY, ERRORS
from thimble.service.releases.changes import Changes
from thimble.service.releases.release import Canary, Release, ReleaseError, parsed
from thimble.service.releases.versions import ModelVersions
from thimble.service.settings import Settings
from thimble.service.wire import compression
from thimble.service.wire.load_request import LoadRequest, json_of, version_from
from thimble.service.wire.rows import JSON

# For a model of 10 MB over a slow line.
PUSH_SECONDS = 120.0
_ERRORS = {status: ERRORS[status] for status in ("400", "403", "404", "408", "409", "413", "415", "507")}


def _body_of(kind: str, schema: dict[str, Any], required: bool = True) -> dict[str, Any]:
    return {"requestBody": {"required": required, "content": {kind: {"schema": schema}}}}


_NUMBER = {"type": "integer", "minimum": 1}
_INDEX = _body_of(JSON, {"type": "object", "properties": {"ready": {"type": "boolean"}}}, required=False)
_LOAD = _body_of(
    JSON,
    {
        "type": "object",
        "properties": {
            "parameters": {
                "type": "object",
                "properties": {"config": {"type": "string", "description": "a model configuration as JSON"}},
                "additionalProperties": {"type": "string", "format": "byte"},
            }
        },
    },
    required=False,
)
_RELEASE = _body_of(
    JSON,
    {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "live": _NUMBER,
            "canary": {
                "type": "object",
                "required": ["version", "weight"],
                "additionalProperties": False,
                "properties": {
                    "version": _NUMBER,
                    "weight": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
                },
            },
            "shadow": {
                "type": "object",
                "required": ["version"],
                "additionalProperties": False,
                "properties": {
                    "version": _NUMBER,
                    "share": {"type": "number", "exclusiveMinimum": 0, "maximum": 1, "default": 1},
                },
            },
            "also": {"type": "array", "items": _NUMBER},
        },
    },
)
_FILE = _body_of(BINARY, {"type": "string", "format": "binary"})


class IndexEntry(BaseModel):
    """A version in the repository; `reason` says why one that is not READY was refused."""

    name: str
    version: str
    state: str
    reason: str


class ShadowState(BaseModel):
    version: int
    share: float
    running: bool


class ReleaseState(BaseModel):
    """What is served of a model.

    `following` says that newer versions become live by themselves. `standby` are the versions that are loaded and
    answer requests that name them; to go back to one takes no time. `refused` says of versions why they are,
    and `taken_out` are those that the server itself took out of the traffic for want of usable scores.
    """

    live: int | None
    following: bool
    canary: Canary | None
    shadow: ShadowState | None
    standby: list[int]
    stored: list[int]
    refused: dict[str, str]
    taken_out: list[int]


class Stored(BaseModel):
    model: str
    version: int


def admin_router(registry: Changes, settings: Settings, keys: Keys) -> APIRouter:
    """The routes over a registry."""

    async def changes_allowed(request: Request) -> None:
        keys.check_admin(dict(request.scope["headers"]))

    async def index_allowed(request: Request) -> None:
        if keys.guard_changes:
            keys.check_admin(dict(request.scope["headers"]))

    router = APIRouter(responses={int(status): answer for status, answer in _ERRORS.items()})
    triton = APIRouter(prefix="/v2/repository", tags=["Open Inference Protocol"])
    changes = [Depends(changes_allowed)]
    releases = APIRouter(prefix="/v1/models/{model}", tags=["models"], dependencies=changes)

    async def small_body(request: Request) -> bytes:
        return await _body(request, settings.max_body_bytes, settings.read_timeout_s)

    async def file_body(request: Request) -> bytes:
        return await _body(request, settings.max_model_bytes, PUSH_SECONDS)

    async def load_body(request: Request) -> bytes:
        # base64 makes four bytes of three
        return await _body(request, settings.max_model_bytes // 3 * 4 + settings.max_body_bytes, PUSH_SECONDS)

    @triton.post("/index", dependencies=[Depends(index_allowed)], openapi_extra=_INDEX)
    async def index(body: Annotated[bytes, Depends(small_body)]) -> list[IndexEntry]:
        """Every version of every model in the repository, or, with {"ready": true}, those that are loaded."""
        only_ready = _object(body).get("ready") is True
        entries = [entry for name in await asyncio.to_thread(registry.known) for entry in _index(registry, name)]
        return [entry for entry in entries if entry.state == "READY" or not only_ready]

    @triton.post("/models/{model}/load", dependencies=changes, openapi_extra=_LOAD)
    async def load(model: str, body: Annotated[bytes, Depends(load_body)]) -> None:
        """Serve the newest version of a model, or what `config` asks for in its `version_policy`.

        Files of versions, `file:VERSION/model.onnx` in base64, are put into the repository before.
        """
        request = await asyncio.to_thread(LoadRequest, model, body)
        for version, content in request.files.items():
            await registry.store(model, version, content)
        await registry.release(model, request.release([*await asyncio.to_thread(registry.stored, model)]))

    @triton.post("/models/{model}/unload", dependencies=changes)
    async def unload(model: str) -> None:
        """Serve nothing of a model until it is loaded again."""
        await registry.unload(model)

    @releases.get("/release")
    async def release(model: str) -> ReleaseState:
        """What is served of a model."""
        return await asyncio.to_thread(_state, registry, registry.model_versions(model))

    @releases.put("/release", openapi_extra=_RELEASE)
    async def change(model: str, body: Annotated[bytes, Depends(small_body)]) -> ReleaseState:
        """Serve this of a model: a version `live`, a `canary` with its weight, a `shadow`, and `also` other versions.

        Without `live` the newest version is, or, beside a canary or a shadow, the one that is live now. All of it is
        loaded and verified, and takes effect at once, or nothing does.
        """
        await registry.release(model, _release(body, registry.model_versions(model)))
        return await asyncio.to_thread(_state, registry, registry.model_versions(model))

    @releases.post("/rollback")
    async def roll_back(model: str) -> ReleaseState:
        """Serve the version that was live before, and follow no newer one."""
        await registry.roll_back(model)
        return await asyncio.to_thread(_state, registry, registry.model_versions(model))

    @releases.put("/versions/{version}", openapi_extra=_FILE)
    async def store(model: str, version: str, body: Annotated[bytes, Depends(file_body)]) -> Stored:
        """Verify a file and put it into the repository as a version. What is served stays as it is."""
        number = version_from(version)
        await registry.store(model, number, body)
        return Stored(model=model, version=number)

    router.include_router(triton)
    router.include_router(releases)
    return router


async def _body(request: Request, max_bytes: int, seconds: float) -> bytes:
    headers = dict(request.scope["headers"])
    encoding = bodies.encoding(headers)
    body = await bodies.read(headers, request.receive, max_bytes, seconds)
    return await asyncio.to_thread(compression.decompress, body, encoding, max_bytes) if encoding else body


def _object(body: bytes) -> dict[str, Any]:
    """The JSON of a request, of which an empty one has none."""
    request = json_of(body, "the request") if body.strip() else {}
    return request


def _release(body: bytes, family: ModelVersions) -> Release:
    wanted = json_of(body, "the request")
    if family.live is not None and (wanted.get("canary") or wanted.get("shadow")):
        wanted.setdefault("live", family.live.version)
    try:
        return parsed(orjson.dumps(wanted))
    except ReleaseError as error:
        raise RequestError(400, str(error)) from None


def _index(registry: Changes, name: str) -> list[IndexEntry]:
    family = registry.model_versions(name)
    loaded = family.loaded()
    entries = []
    for version in sorted({*registry.stored(name), *loaded}):
        state = "READY" if version in loaded else "UNAVAILABLE"
        reason = "" if version in loaded else family.refused.get(version, (None, "not loaded"))[1]
        entries.append(IndexEntry(name=name, version=str(version), state=state, reason=reason))
    return entries


def _state(registry: Changes, family: ModelVersions) -> ReleaseState:
    release, shadow = family.release, family.shadow
    return ReleaseState(
        live=family.live.version if family.live else None,
        following=release.live is None and release.loaded,
        canary=release.canary,
        shadow=ShadowState(version=shadow.stored.version, share=shadow.wanted.share, running=shadow.running)
        if shadow
        else None,
        standby=sorted(family.standby),
        stored=sorted(registry.stored(family.name)),
        refused={str(version): reason for version, (_, reason) in sorted(family.refused.items())},
        taken_out=sorted(release.taken_out),
    )
