"""The HTTP application.

Scoring runs on plain Starlette routes: FastAPI's typed bodies cost half the requests a core can answer. Everything
else is FastAPI's, and the scoring routes are described by `service.openapi`.
"""

from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from models.hashing import Floats
from service.engine import Lookup
from service.errors import RequestError
from service.logs import AccessLog
from service.openapi import score_paths
from service.registry import Model, Registry
from service.settings import Settings
from service.wire import JSON, answer, read_body


class Feature(BaseModel):
    name: str
    kind: str


class ModelDescription(BaseModel):
    """A model being served. Sizes are in bytes; `provider` is the ONNX Runtime provider that really runs it.

    `lookup` is what turns its ids into embeddings: the native op, or the function of standard operators in its file;
    null for ordinary tables.
    """

    name: str
    version: int
    provider: str
    lookup: Lookup | None
    scheme: str
    precision: str
    file_bytes: int
    embedding_bytes: int
    full_table_bytes: int
    features: list[Feature]
    metrics: dict[str, Any] | None


class Status(BaseModel):
    status: str


def create_app(registry: Registry, settings: Settings) -> FastAPI:
    """The application over the models of a registry."""
    app: FastAPI = FastAPIOffline(redoc_url=None, title="Thimble")
    app.add_middleware(AccessLog)

    @app.get("/healthz", tags=["health"])
    async def alive() -> Status:
        """The process answers."""
        return Status(status="alive")

    @app.get("/readyz", tags=["health"])
    async def ready() -> Status:
        """Models are loaded, verified and ready to score."""
        return Status(status="ready")

    @app.get("/v1/models", tags=["models"])
    async def models() -> list[ModelDescription]:
        """The models being served."""
        return [_described(model) for model in registry]

    async def score(request: Request) -> Response:
        name, version = request.path_params.get("model"), request.path_params.get("version")
        model = registry.find(name, version)
        request.state.log.update(model=model.name, version=model.version)
        content_type = (request.headers.get("content-type") or JSON).partition(";")[0].strip().lower()
        body = await _read(request, settings.max_body_bytes)

        def work() -> Floats:
            return model.engine.score(read_body(content_type, body, model.spec, settings.max_rows))

        scores = await run_in_threadpool(work)
        request.state.log.update(rows=len(scores))
        return Response(answer(model.name, model.version, scores), media_type=JSON)

    app.add_route("/v1/score", score, methods=["POST"], include_in_schema=False)
    app.add_route("/v1/models/{model}/score", score, methods=["POST"], include_in_schema=False)
    app.add_route("/v1/models/{model}/versions/{version}/score", score, methods=["POST"], include_in_schema=False)

    app.router.redirect_slashes = False  # a path with a slash too many is another path
    app.add_exception_handler(RequestError, _refused)
    app.add_exception_handler(HTTPException, _not_routed)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _failed)

    def describe() -> dict[str, Any]:
        description = get_openapi(title=app.title, version="1", routes=app.routes)
        description["paths"] |= score_paths(registry)
        return description

    app.openapi = describe  # type: ignore[method-assign]
    return app


def _described(model: Model) -> ModelDescription:
    spec = model.spec
    dense = [Feature(name=name, kind="number") for name in spec.dense]
    return ModelDescription(
        name=model.name,
        version=model.version,
        provider=model.engine.provider,
        lookup=model.engine.lookup,
        scheme=spec.embedding.scheme,
        precision=str(spec.precision),
        file_bytes=model.file_bytes,
        embedding_bytes=spec.embedding_bytes,
        full_table_bytes=spec.full_table_bytes,
        features=[*dense, *(Feature(name=field.name, kind=field.kind) for field in spec.fields)],
        metrics=spec.metrics.model_dump() if spec.metrics else None,
    )


async def _read(request: Request, limit: int) -> bytes:
    """The body, read no further than the limit."""
    encoding = request.headers.get("content-encoding") or "identity"
    if encoding.lower() != "identity":
        raise RequestError(415, f"Content-Encoding {encoding[:40]!r} is not supported", unread=True)
    too_large = RequestError(413, f"the body is larger than the limit of {limit} bytes", unread=True)
    if int(request.headers.get("content-length", 0)) > limit:
        raise too_large
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > limit:
            raise too_large
    return bytes(body)


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps({"error": message}), status, headers, media_type=JSON)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return _error(error.status, error.message, {"connection": "close"} if error.unread else None)


async def _not_routed(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path, headers = request.url.path[:200], dict(error.headers or {})
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            message = f"there is nothing at {path}"
        case HTTPStatus.METHOD_NOT_ALLOWED:
            message = f"{request.method} is not allowed at {path}, only {headers.get('Allow', headers.get('allow'))}"
        case _:
            message = str(error.detail)
    return _error(error.status_code, message, headers)


async def _gone(_: Request, __: Exception) -> Response:
    return Response(status_code=499)  # nobody reads it; nginx's number for it appears in the access log


async def _failed(request: Request, error: Exception) -> Response:
    return _error(500, "internal error, see the server's log")
