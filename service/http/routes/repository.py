"""Triton's repository routes: what is there, and models that are loaded and unloaded."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field, StrictBool

from thimble.service.http.keys import Keys
from thimble.service.http.load_request import LoadBody, LoadRequest
from thimble.service.http.responses import CHANGE_ERRORS, errors, json_body
from thimble.service.http.routes.dependencies import AdminKey, Bodies
from thimble.service.releases.changes import Changes
from thimble.service.wire.validation import validated


class IndexRequest(BaseModel):
    ready: StrictBool = Field(default=False, description="only versions that are loaded")


class IndexEntry(BaseModel):
    """A version in the repository; `reason` says why one that is not READY was refused."""

    name: str
    version: str
    state: str
    reason: str


def repository_router(changes: Changes, bodies: Bodies, keys: Keys) -> APIRouter:
    """The routes over the changes of what is served."""
    router = APIRouter(prefix="/v2/repository", tags=["Open Inference Protocol"], responses=errors(*CHANGE_ERRORS))
    admin = Depends(AdminKey(keys))

    # who looks changes nothing, so where nobody has an admin key everybody may
    @router.post(
        "/index",
        dependencies=[admin] if keys.guard_changes else [],
        openapi_extra=json_body(IndexRequest(ready=True), required=False),
    )
    async def repository_index(body: Annotated[bytes, Depends(bodies.small)]) -> list[IndexEntry]:
        """Every version of every model in the repository, or, with {"ready": true}, those that are loaded."""
        wanted = validated(IndexRequest, body)
        entries = [entry for name in await changes.stored.names() for entry in await _index(changes, name)]
        return [entry for entry in entries if entry.state == "READY" or not wanted.ready]

    @router.post("/models/{model}/load", openapi_extra=json_body(LoadBody(), required=False))
    async def load_model(model: str, by: Annotated[str, admin], body: Annotated[bytes, Depends(bodies.load)]) -> None:
        """Serve the newest version of a model, or what `config` asks for in its `version_policy`.

        Files of versions, `file:VERSION/model.onnx` in base64, are put into the repository before.
        """
        request = await asyncio.to_thread(LoadRequest, model, body)
        for version, content in request.files.items():
            await changes.stored.push(model, version, content, by)
        await changes.release(model, request.release([*await changes.stored.of(model)]), by)

    @router.post("/models/{model}/unload")
    async def unload_model(model: str, by: Annotated[str, admin]) -> None:
        """Serve nothing of a model until it is loaded again."""
        await changes.unload(model, by)

    return router


async def _index(changes: Changes, name: str) -> list[IndexEntry]:
    versions = await changes.stored.model(name)
    loaded = versions.loaded()
    entries = []
    for version in sorted({*await changes.stored.of(name), *loaded}):
        state, refused = "READY" if version in loaded else "UNAVAILABLE", versions.refused.get(version)
        reason = "" if version in loaded else refused.reason if refused else "not loaded"
        entries.append(IndexEntry(name=name, version=str(version), state=state, reason=reason))
    return entries
