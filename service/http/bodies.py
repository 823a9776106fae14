"""Request bodies from an ASGI server: bounded in bytes, alone and together, and in time."""

import asyncio

from starlette.types import Receive

from thimble.service.errors import RequestError
from thimble.service.http.budget import Hold
from thimble.service.http.headers import Headers

# Of a body that is too large: a client that is cut off while it sends does not get to see why.
PASSED_OVER_BYTES = 16 << 20


class DisconnectedError(Exception):
    """The client left before its request was whole."""


async def read(headers: Headers, receive: Receive, max_bytes: int, seconds: float, hold: Hold) -> bytes:
    """The body as it was sent, for which room is held: all of it at once where its length is known, else as it comes.

    RequestError: 408 not within `seconds`, 413 larger than allowed, 429 no room. DisconnectedError. Nothing is held of
    a body that did not arrive.
    """
    try:
        async with asyncio.timeout(seconds):
            return await _read(headers, receive, max_bytes, hold)
    except TimeoutError:
        hold.release()
        raise RequestError(408, f"the body did not arrive within {seconds:g} s", unread=True) from None
    except BaseException:
        hold.release()
        raise


async def _read(headers: Headers, receive: Receive, max_bytes: int, hold: Hold) -> bytes:
    length = int(headers.get(b"content-length", b"0"))
    unread = not 0 < length <= PASSED_OVER_BYTES
    too_large = RequestError(413, f"the body is larger than the limit of {max_bytes} bytes", unread=unread)
    if length > max_bytes:
        raise too_large
    hold.grow_to(length)
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise DisconnectedError
        size = len(body) + len(message["body"])
        if size > max_bytes:
            raise too_large
        hold.grow_to(size)
        body += message["body"]
        if not message.get("more_body"):
            return bytes(body)
