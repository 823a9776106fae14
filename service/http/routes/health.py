"""Probes, and metrics for Prometheus."""

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from starlette.responses import Response

from thimble.service.http.responses import errors
from thimble.service.releases.catalogue import Catalogue
from thimble.service.telemetry.metrics import exposition


class Status(BaseModel):
    status: str


def health_router(catalogue: Catalogue) -> APIRouter:
    """The routes over the models of a catalogue."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz")
    async def alive() -> Status:
        """The process answers."""
        return Status(status="alive")

    @router.get("/readyz", responses=errors(503))
    async def ready() -> Status:
        """Models are loaded, verified and ready to score, and the server is not shutting down."""
        catalogue.check_ready()
        return Status(status="ready")

    @router.get("/metrics", response_class=PlainTextResponse)
    def metrics() -> Response:
        """Prometheus metrics, of all workers."""
        return Response(exposition(), media_type=CONTENT_TYPE_LATEST)

    return router
