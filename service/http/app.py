"""The HTTP application: its routes, its errors, and its description."""

from http import HTTPStatus
from importlib.metadata import version

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from thimble.service.errors import RETRY_SECONDS, RequestError, UnavailableError, error_body, passing
from thimble.service.http.access import Logged
from thimble.service.http.activity import ActivityAnswers
from thimble.service.http.cross_origin import CrossOrigin
from thimble.service.http.keys import Gate
from thimble.service.http.methods import HeadAsGet, allowed, routed
from thimble.service.http.openapi import Description
from thimble.service.http.routes.activity import activity_router
from thimble.service.http.routes.dependencies import Bodies
from thimble.service.http.routes.docs import docs_router
from thimble.service.http.routes.health import health_router
from thimble.service.http.routes.inference import inference_router
from thimble.service.http.routes.models import models_router
from thimble.service.http.routes.page import page_router
from thimble.service.http.routes.releases import releases_router
from thimble.service.http.routes.repository import repository_router
from thimble.service.http.routes.scoring import scoring_router
from thimble.service.http.scoring import Scoring
from thimble.service.releases.registry import Registry
from thimble.service.settings import Settings
from thimble.service.wire.rows import JSON

SUMMARY = (
    "Serves click-through models whose embedding tables are one small shared array: rows of features in, "
    "click probabilities out. The examples are made up; send them as they are."
)
# In the order of what people come for.
TAGS = {
    "score": "Rows of features in, click probabilities out.",
    "models": "What is served.",
    "releases": "Which versions of a model answer: bring one, try it on a share of the traffic, go back.",
    "Open Inference Protocol": "Scoring for clients of Triton and KServe, and what else they ask for.",
    "health": "Probes and metrics.",
}


def create_app(registry: Registry, scoring: Scoring, settings: Settings, activity: ActivityAnswers) -> ASGIApp:
    """The application over the models of a registry, with the keys and the access log of their scoring. `activity` is
    asked for what the server did."""
    catalogue, changes, keys = registry.catalogue, registry.changes, scoring.keys
    bodies = Bodies(settings)
    app = FastAPI(
        openapi_url=None,  # the routes in routes.docs take the place of FastAPI's
        title="Thimble",
        description=SUMMARY,
        version=version("thimble-ctr"),
        openapi_tags=[{"name": name, "description": line} for name, line in TAGS.items()],
    )
    app.include_router(scoring_router(scoring))
    app.include_router(models_router(catalogue, changes.stored, keys))
    app.include_router(releases_router(changes, bodies, keys))
    app.include_router(inference_router(catalogue, settings.max_rows, settings.max_body_bytes))
    app.include_router(repository_router(changes, bodies, keys))
    app.include_router(health_router(catalogue))
    app.include_router(activity_router(activity))
    app.include_router(page_router(settings.root_path))
    app.include_router(docs_router(Description(app, catalogue, keys, settings.root_path), keys))
    app.router.redirect_slashes = False  # a path with a slash too many is another path
    app.add_exception_handler(RequestError, _refused)
    app.add_exception_handler(UnavailableError, _unavailable)
    app.add_exception_handler(OSError, _lacking)
    app.add_exception_handler(HTTPException, _not_routed)
    app.add_exception_handler(Exception, _failed)

    served: ASGIApp = HeadAsGet(app)
    if keys.guard_scoring:
        served = Gate(served, keys)
    if settings.allow_origin:
        served = CrossOrigin(served, settings.allow_origin)
    return Logged(served, scoring.log) if scoring.log else served


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return Response(error.body, error.status, error.headers, media_type=JSON)


async def _unavailable(request: Request, error: Exception) -> Response:
    return await _refused(request, RequestError(503, str(error), retry_after=RETRY_SECONDS))


async def _lacking(request: Request, error: Exception) -> Response:
    """Even the first request to a route may open files, as Python imports what it uses."""
    assert isinstance(error, OSError)
    if not passing(error):
        raise error
    return await _unavailable(request, UnavailableError(f"the server lacks something: {error.strerror}"))


async def _not_routed(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path, headers = request.scope["raw_path"].decode("ascii")[:200], dict(error.headers or {})
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            message = f"there is nothing at {path}"
        case HTTPStatus.METHOD_NOT_ALLOWED:
            methods = routed(request.app.routes, request.scope)
            headers = {"Allow": allowed(methods)}
            if request.method == "OPTIONS":
                return Response(None, HTTPStatus.NO_CONTENT, headers)
            message = f"{request.method} is not allowed at {path}, only {', '.join(methods)}"
        case _:
            message = str(error.detail)
    return Response(error_body(message), error.status_code, headers, media_type=JSON)


async def _failed(request: Request, error: Exception) -> Response:
    return Response(error_body("internal error, see the server's log"), 500, media_type=JSON)
