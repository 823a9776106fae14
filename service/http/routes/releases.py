"""What is served of a model, to be read and replaced, and versions that are pushed into the repository."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Depends
from pydantic import BaseModel

from thimble.models.conversions import shown
from thimble.service.errors import RequestError
from thimble.service.http.keys import Keys
from thimble.service.http.load_request import version_from
from thimble.service.http.responses import CHANGE_ERRORS, FILE_BODY, errors, json_body
from thimble.service.http.routes.dependencies import AdminKey, Bodies
from thimble.service.http.routes.models import Roles
from thimble.service.releases.changes import Changes
from thimble.service.releases.release import Canary, Release, ReleaseError, parsed
from thimble.service.releases.versions import ModelVersions
from thimble.service.wire import json_text


class ReleaseState(Roles):
    """What is served of a model, and what there is to be served.

    `refused` says of versions why they are.
    """

    live: int | None
    stored: list[int]
    refused: dict[str, str]


class Stored(BaseModel):
    """`message` says what becomes of a version that is stored, and how it comes to be served."""

    model: str
    version: int
    message: str


class Deleted(BaseModel):
    """A version that is gone, and those that are left."""

    model: str
    version: int
    stored: list[int]


def releases_router(changes: Changes, bodies: Bodies, keys: Keys) -> APIRouter:
    """The routes over the changes of what is served."""
    admin = Depends(AdminKey(keys))
    router = APIRouter(
        prefix="/v1/models/{model}", tags=["releases"], dependencies=[admin], responses=errors(*CHANGE_ERRORS)
    )

    async def state(model: str) -> ReleaseState:
        return _state(await changes.stored.model(model), sorted(await changes.stored.of(model)))

    @router.get("/release")
    async def read_release(model: str) -> ReleaseState:
        """What is served of a model."""
        return await state(model)

    @router.put("/release", openapi_extra=json_body(Release(live=1, canary=Canary(version=2, weight=0.05))))
    async def change_release(
        model: str, by: Annotated[str, admin], body: Annotated[bytes, Depends(bodies.small)]
    ) -> ReleaseState:
        """Serve this of a model: a version `live`, a `canary` with its weight, a `shadow`, and `also` other versions.

        Without `live` the newest version is, or, beside a canary or a shadow, the one that is live now. All of it is
        loaded and verified, and takes effect at once, or nothing does. A live version that takes other features than
        what was served before is refused, unless `interface` is `changes`.
        """
        await changes.release(model, _release(body, await changes.stored.model(model)), by)
        return await state(model)

    @router.post("/rollback")
    async def roll_back(model: str, by: Annotated[str, admin]) -> ReleaseState:
        """Serve the version that was live before, whatever features it takes, and follow no newer one."""
        await changes.roll_back(model, by)
        return await state(model)

    @router.put("/versions/{version}", openapi_extra=FILE_BODY)
    async def push_version(
        model: str, version: str, by: Annotated[str, admin], body: Annotated[bytes, Depends(bodies.file)]
    ) -> Stored:
        """Verify a file and put it into the repository as a version. What is served stays as it is."""
        number = version_from(version)
        return Stored(model=model, version=number, message=await changes.stored.push(model, number, body, by))

    @router.delete("/versions/{version}")
    async def delete_version(model: str, version: str, by: Annotated[str, admin]) -> Deleted:
        """Remove a version from the repository, unless it is loaded, in a release, or what a rollback may lead to."""
        number = version_from(version)
        await changes.stored.delete(model, number, by)
        return Deleted(model=model, version=number, stored=sorted(await changes.stored.of(model)))

    return router


def _release(body: bytes, versions: ModelVersions) -> Release:
    """What a body asks for. RequestError 400."""
    wanted = json_text.parsed(body)
    if not isinstance(wanted, dict):
        raise RequestError(400, f"the request is {shown(wanted)}, not an object")
    if versions.live is not None and (wanted.get("canary") or wanted.get("shadow")):
        wanted.setdefault("live", versions.live.version)
    try:
        return parsed(orjson.dumps(wanted))
    except orjson.JSONEncodeError:  # it reads what is deeper than it writes
        raise RequestError(400, "the request is nested too deeply") from None
    except ReleaseError as error:
        raise RequestError(400, str(error)) from None


def _state(versions: ModelVersions, stored: list[int]) -> ReleaseState:
    return ReleaseState(
        **dict(Roles.of(versions)),
        live=versions.live.version if versions.live else None,
        stored=stored,
        refused={str(version): refusal.reason for version, refusal in sorted(versions.refused.items())},
    )
