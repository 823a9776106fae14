"""Pages of other origins: browsers ask whether they may send a request, and read the answer to it (CORS)."""

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from thimble.service.errors import error_body
from thimble.service.wire.rows import JSON

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")
# Of answers; pages get to see no others.
EXPOSED = ("Inference-Header-Content-Length", "Retry-After", "X-Request-Id")
_FORBIDDEN = 400  # Starlette's status


class CrossOrigin(CORSMiddleware):
    """Lets the pages of some origins ask, with any headers, and read all answers, refusals too.

    Cookies are neither asked for nor read: who may score is said by keys, which a page has to know.
    """

    def __init__(self, app: ASGIApp, origins: tuple[str, ...]) -> None:
        super().__init__(app, origins, METHODS, allow_headers=("*",), expose_headers=EXPOSED)

    def preflight_response(self, request_headers: Headers) -> Response:
        """Starlette's, but that a refusal is told as all others are."""
        response = super().preflight_response(request_headers)
        if response.status_code != _FORBIDDEN:
            return response
        del response.headers["content-length"], response.headers["content-type"]
        origin, method = (request_headers[name][:100] for name in ("origin", "access-control-request-method"))
        message = f"a page of {origin} may not send {method} here (--allow-origin)"
        return Response(error_body(message), _FORBIDDEN, dict(response.headers), JSON)
