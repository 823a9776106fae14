"""The HTTP application. Scoring is `http.scoring`'s, described by `http.openapi`; the rest is FastAPI's."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import PlainTextResponse
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp

from thimble.service.engine.engine import Lookup
from thimble.service.errors import RequestError, error_body
from thimble.service.http.keys import Gate, Keys
from thimble.service.http.openapi import ERRORS, describe_keys, scoring_paths
from thimble.service.http.routes.admin import admin_router
from thimble.service.http.routes.inference import v2_router
from thimble.service.http.scoring import Scoring
from thimble.service.releases.catalogue import Registry
from thimble.service.releases.loader import Model
from thimble.service.releases.versions import Part
from thimble.service.settings import Settings
from thimble.service.telemetry.logs import AccessLog, Logged
from thimble.service.telemetry.metrics import exposition
from thimble.service.wire.rows import JSON

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


class Feature(BaseModel):
    name: str
    kind: str


class ModelDescription(BaseModel):
    """A model being served. Sizes are in bytes; `provider` is the ONNX Runtime provider that really runs it.

    `lookup` is what turns its ids into embeddings: the native op, or the function of standard operators in its file;
    null for ordinary tables. `part` is `live` for what answers, `canary` for what answers some, and `standby` for what
    answers requests that name its version.
    """

    name: str
    version: int
    provider: str
    lookup: Lookup | None
    part: Part
    scheme: str
    precision: str
    file_bytes: int
    embedding_bytes: int
    full_table_bytes: int
    features: list[Feature]
    metrics: dict[str, Any] | None


class Status(BaseModel):
    status: str


def create_app(registry: Registry, settings: Settings, keys: Keys, log: AccessLog | None) -> ASGIApp:
    """The application over the models of a registry. `log` has a line a request, where one is kept."""
    app: FastAPI = FastAPIOffline(redoc_url=None, title="Thimble")

    @app.get("/healthz", tags=["health"])
    async def alive() -> Status:
        """The process answers."""
        return Status(status="alive")

    @app.get("/readyz", tags=["health"], responses={503: ERRORS["503"]})
    async def ready() -> Status:
        """Models are loaded, verified and ready to score, and the server is not shutting down."""
        registry.check_ready()
        return Status(status="ready")

    @app.get("/v1/models", tags=["models"])
    async def models() -> list[ModelDescription]:
        """The models being served."""
        return [_described(model, part) for family in registry.families for model, part in family]

    @app.get("/metrics", tags=["health"], response_class=PlainTextResponse)
    def metrics() -> Response:
        """Prometheus metrics, of all workers."""
        return Response(exposition(), media_type=CONTENT_TYPE_LATEST)

    app.include_router(admin_router(registry, settings, keys))
    app.include_router(v2_router(registry, settings.max_rows))
    app.router.redirect_slashes = False  # a path with a slash too many is another path
    app.add_exception_handler(RequestError, _refused)
    app.add_exception_handler(HTTPException, _not_routed)
    app.add_exception_handler(Exception, _failed)

    def describe() -> dict[str, Any]:
        description = get_openapi(title=app.title, version="1", routes=app.routes)
        for path in description["paths"].values():
            for operation in path.values():
                operation["responses"].pop("422", None)  # a path that names no model is a 404
        for unused in ("HTTPValidationError", "ValidationError"):
            description["components"]["schemas"].pop(unused)
        description["paths"] |= scoring_paths(registry)
        describe_keys(description, keys)
        return description

    app.openapi = describe  # type: ignore[method-assign]
    guarded: ASGIApp = Scoring(app, registry, settings)
    if keys.guard_scoring:
        guarded = Gate(guarded, keys)
    return Logged(guarded, log) if log else guarded


def _described(model: Model, part: Part) -> ModelDescription:
    spec = model.spec
    return ModelDescription(
        name=model.name,
        version=model.version,
        provider=model.engine.provider,
        lookup=model.engine.lookup,
        part=part,
        scheme=spec.embedding.scheme,
        precision=str(spec.precision),
        file_bytes=model.file_bytes,
        embedding_bytes=spec.embedding_bytes,
        full_table_bytes=spec.full_table_bytes,
        features=[Feature(name=feature.name, kind=feature.kind) for feature in spec.features],
        metrics=spec.metrics.model_dump() if spec.metrics else None,
    )


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return Response(error.body, error.status, error.headers, media_type=JSON)


async def _not_routed(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path, headers = request.scope["raw_path"].decode("ascii")[:200], dict(error.headers or {})
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            message = f"there is nothing at {path}"
        case HTTPStatus.METHOD_NOT_ALLOWED:
            headers = {"Allow": ", ".join(_allowed(request))}
            message = f"{request.method} is not allowed at {path}, only {headers['Allow']}"
        case _:
            message = str(error.detail)
    return Response(error_body(message), error.status_code, headers, media_type=JSON)


def _allowed(request: Request) -> list[str]:
    """The methods of all routes of a path; Starlette names those of the first alone."""
    routes: list[BaseRoute] = request.app.routes
    return [
        method
        for method in METHODS
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes)
    ]


async def _failed(request: Request, error: Exception) -> Response:
    return Response(error_body("internal error, see the server's log"), 500, media_type=JSON)
