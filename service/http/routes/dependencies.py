"""What routes ask for before they do anything: an admin key, and the body of a request."""

import asyncio
from typing import Any

from fastapi import Request
from fastapi.openapi.constants import REF_TEMPLATE
from pydantic import BaseModel

from thimble.service.http import bodies
from thimble.service.http.keys import Keys
from thimble.service.http.responses import BINARY
from thimble.service.wire import compression
from thimble.service.wire.rows import JSON

# For a model of 10 MB over a slow line.
PUSH_SECONDS = 120.0
# A route's `openapi_extra` where its body is a file.
FILE_BODY = {"requestBody": {"required": True, "content": {BINARY: {"schema": {"type": "string", "format": "binary"}}}}}


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
        encoding = bodies.encoding(headers)
        body = await bodies.read(headers, request.receive, self._max_bytes, self._seconds)
        return await asyncio.to_thread(compression.decompress, body, encoding, self._max_bytes) if encoding else body


def json_body(example: BaseModel, required: bool = True) -> dict[str, Any]:
    """The `openapi_extra` of a route that reads a model from its body itself. The example is such a body."""
    schema = type(example).model_json_schema(ref_template=REF_TEMPLATE)
    media = {"schema": schema, "example": example.model_dump(exclude_defaults=True)}
    return {"requestBody": {"required": required, "content": {JSON: media}}}
