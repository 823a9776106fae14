"""What routes ask for before they do anything: an admin key, and the body of a request."""

import asyncio
import logging
from collections.abc import AsyncIterator

from fastapi import Request

from thimble.service.errors import RequestError, UnavailableError
from thimble.service.http import bodies
from thimble.service.http.access import note_of, shown_path
from thimble.service.http.budget import SMALL_BYTES, ByteBudget
from thimble.service.http.headers import content_encoding
from thimble.service.http.keys import Keys
from thimble.service.settings import Settings
from thimble.service.wire import compression

# For a model of 10 MB over a slow line.
PUSH_SECONDS = 120.0
log = logging.getLogger("thimble")


class AdminKey:
    """Only who brings a key that allows changes gets further. RequestError 401 or 403.

    Gives the key's name. What is refused then is logged with it.
    """

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def __call__(self, request: Request) -> AsyncIterator[str]:
        by = self._keys.check_admin(dict(request.scope["headers"]))
        try:
            yield by
        except (RequestError, UnavailableError) as error:
            if request.method not in ("GET", "HEAD"):
                status = error.status if isinstance(error, RequestError) else 503
                _log_refusal(request, by, status, str(error))
            raise


def _log_refusal(request: Request, by: str, status: int, reason: str) -> None:
    asked = {"method": request.method, "path": shown_path(request.scope["path"]), "status": status}
    fields = {**asked, "by": by, "error": reason, **note_of(request.scope)}
    log.warning(
        "%(method)s %(path)s by %(by)s was answered with %(status)d: %(error)s", fields, extra={"fields": fields}
    )


class Body:
    """The body of a request, decompressed. FastAPI's own reading knows no bounds, and wants a Content-Type.

    RequestError: 400, 408, 413, 415 or 429.
    """

    def __init__(self, max_bytes: int, seconds: float, budget: ByteBudget) -> None:
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._budget = budget

    async def __call__(self, request: Request) -> AsyncIterator[bytes]:
        headers = dict(request.scope["headers"])
        encoding = content_encoding(headers)
        with self._budget.hold() as hold:
            if encoding:  # what it becomes may be as large as any
                hold.grow_to(self._max_bytes)
            body = await bodies.read(headers, request.receive, self._max_bytes, self._seconds, hold)
            if encoding:
                body = await asyncio.to_thread(compression.decompress, body, encoding, self._max_bytes)
            yield body


class Bodies:
    """The bodies of the routes that change what is served.

    Models that are pushed share a budget of their own, which holds the largest: they take no room from what is to be
    scored, and no two of the largest come at once.
    """

    def __init__(self, settings: Settings) -> None:
        # base64 makes four bytes of three
        largest = settings.max_model_bytes // 3 * 4 + settings.max_text_bytes
        budget = ByteBudget(largest)
        self.small = Body(SMALL_BYTES, settings.read_timeout_s, budget)
        self.file = Body(settings.max_model_bytes, PUSH_SECONDS, budget)
        self.load = Body(largest, PUSH_SECONDS, budget)
