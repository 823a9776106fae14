"""Request bodies from an ASGI server: bounded in bytes and in time."""

import asyncio

from starlette.types import Receive

from thimble.service.errors import RequestError

Headers = dict[bytes, bytes]


class DisconnectedError(Exception):
    """The client left before its request was whole."""


async def read(headers: Headers, receive: Receive, max_bytes: int, seconds: float) -> bytes:
    """The body as it was sent. RequestError: 408 not within `seconds`, 413 larger than allowed. DisconnectedError."""
    too_large = RequestError(413, f"the body is larger than the limit of {max_bytes} bytes", unread=True)
    length = headers.get(b"content-length")
    if length is not None and int(length) > max_bytes:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise DisconnectedError
                body += message["body"]
                if len(body) > max_bytes:
                    raise too_large
                if not message.get("more_body"):
                    return bytes(body)
    except TimeoutError:
        raise RequestError(408, f"the body did not arrive within {seconds:g} s", unread=True) from None
