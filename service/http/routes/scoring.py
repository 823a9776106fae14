"""The scoring routes as the application has them: the door for what `small_requests` does not take."""

import asyncio

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException
from starlette.types import Receive

from thimble.service.http import bodies, paths
from thimble.service.http.access import note_of
from thimble.service.http.headers import Headers
from thimble.service.http.replies import Reply
from thimble.service.http.scoring import Scoring, ScoringCall


def scoring_router(scoring: Scoring) -> APIRouter:
    """The routes, which `http.operations` describes for each model."""
    router = APIRouter(include_in_schema=False)

    async def score(request: Request) -> Response:
        scope, headers = request.scope, dict(request.scope["headers"])
        target = paths.parse(scope["path"])
        if target is None:  # a line end behind it, which the router lets pass
            raise HTTPException(404)
        call = ScoringCall(scoring, target, scope["path"], headers, scope["client"], note_of(scope))
        reply = await _answered(scoring, call, headers, request.receive)
        response = Response(reply.body, reply.status)
        response.raw_headers = reply.headers
        return response

    for template in paths.SCORING_ROUTES:
        router.add_api_route(template, score, methods=["POST"])
    return router


async def _answered(scoring: Scoring, call: ScoringCall, headers: Headers, receive: Receive) -> Reply:
    answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

    def send(reply: Reply) -> None:
        if not answered.done():  # or the server has given the request up, as some do when a client leaves
            answered.set_result(reply)

    try:
        call.admit()
        body = await bodies.read(headers, receive, call.max_body_bytes, scoring.read_timeout_s, call.hold)
    except Exception as error:
        call.fail(error, send)
        return await answered
    departure = asyncio.create_task(_departed(receive))
    try:
        call.begin(body, departure.done, send)
        return await answered
    finally:
        departure.cancel()


async def _departed(receive: Receive) -> None:
    """Wait for the client to leave; when its body was read it says nothing else."""
    while (await receive())["type"] != "http.disconnect":
        pass
