"""What the server did in the last minutes, for people to look at; Prometheus has `/metrics`."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from thimble.service.http.activity import ActivityAnswers, ActivityState
from thimble.service.http.responses import errors
from thimble.service.wire.rows import JSON


def activity_router(answers: ActivityAnswers) -> APIRouter:
    """The route."""
    router = APIRouter(tags=["health"])

    @router.get("/v1/activity", response_model=ActivityState, responses=errors(404))
    async def activity(request: Request, model: str | None = None) -> Response:
        """What the server did in the last minutes, with all its workers, and its last changes. `history` has the rates
        of a model where one is named."""
        return Response(answers.body(model, dict(request.scope["headers"])), media_type=JSON)

    return router
