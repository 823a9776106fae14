"""What routes ask for before they do anything: an admin key, and the body of a request."""

import asyncio

from fastapi import Request

from thimble.service.http import bodies
from thimble.service.http.keys import Keys
from thimble.service.wire import compression

# For a model of 10 MB over a slow line.
PUSH_SECONDS = 120.0


class AdminKey:
    """Only who brings a key that allows changes gets further. RequestError 401 or 403."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def __call__(self, request: Request) -> None:
        self._keys.check_admin(dict(request.scope["headers"]))


class Body:
    """The body of a request, decompressed. FastAPI's own reading knows no bounds, and wants a Content-Type.

    RequestError: 400, 408, 413 or 415.
    """

    def __init__(self, max_bytes: int, seconds: float) -> None:
        self._max_bytes = max_bytes
        self._seconds = seconds

    async def __call__(self, request: Request) -> bytes:
        headers = dict(request.scope["headers"])
        encoding = compression.encoding(headers)
        body = await bodies.read(headers, request.receive, self._max_bytes, self._seconds)
        return await asyncio.to_thread(compression.decompress, body, encoding, self._max_bytes) if encoding else body
