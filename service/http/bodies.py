"""Request bodies from the socket: bounded in bytes before and after decompression, and in time."""

import asyncio
import zlib

from starlette.types import Message, Receive

from thimble.service.errors import RequestError

Headers = dict[bytes, bytes]
# zlib's window bits: gzip's header, or zlib's ("deflate" in HTTP)
_WINDOWS = {b"gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}


class DisconnectedError(Exception):
    """The client left before its request was whole."""


async def read(headers: Headers, receive: Receive, max_bytes: int, seconds: float) -> bytes:
    """The body as it was sent. RequestError: 408 not within `seconds`, 413 larger than allowed. DisconnectedError."""
    too_large = RequestError(413, f"the body is larger than the limit of {max_bytes} bytes", unread=True)
    length = headers.get(b"content-length")
    if length is not None and int(length) > max_bytes:
        raise too_large
    message = _at_once(receive)
    if message is not None and message["type"] == "http.request" and not message.get("more_body"):
        if len(message["body"]) > max_bytes:
            raise too_large
        return bytes(message["body"])
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = message or await receive()
                if message["type"] == "http.disconnect":
                    raise DisconnectedError
                body += message["body"]
                if len(body) > max_bytes:
                    raise too_large
                if not message.get("more_body"):
                    return bytes(body)
                message = None
    except TimeoutError:
        raise RequestError(408, f"the body did not arrive within {seconds:g} s", unread=True) from None


def encoding(headers: Headers) -> bytes | None:
    """How a body is compressed, None if it is not. RequestError 415: in a way that is not supported."""
    name = headers.get(b"content-encoding", b"identity").lower()
    if name == b"identity":
        return None
    if name not in _WINDOWS:
        raise RequestError(415, f"Content-Encoding {name[:40].decode('latin-1')!r} is not gzip or deflate", unread=True)
    return name


def decompress(body: bytes, name: bytes, max_bytes: int) -> bytes:
    """What a compressed body holds. RequestError: 400 it is not compressed like that, 413 it is larger."""
    stream = zlib.decompressobj(_WINDOWS[name])
    try:
        plain = stream.decompress(body, max_bytes + 1)
    except zlib.error:
        raise RequestError(400, f"the body is not {name.decode()}") from None
    if len(plain) > max_bytes:
        raise RequestError(413, f"the body is larger than the limit of {max_bytes} bytes when decompressed")
    if not stream.eof or stream.unused_data:
        raise RequestError(400, f"the body is not one whole {name.decode()} stream")
    return plain


def compress(body: bytes, name: bytes) -> bytes:
    """The body as gzip or deflate, quickly rather than well."""
    stream = zlib.compressobj(1, wbits=_WINDOWS[name])
    return stream.compress(body) + stream.flush()


def departed(receive: Receive) -> bool:
    """Whether the client of a request that was read has gone, without waiting for it to go."""
    message = _at_once(receive)
    return message is not None and message["type"] == "http.disconnect"


def _at_once(receive: Receive) -> Message | None:
    """The next message if it is there already."""
    waiting = receive().__await__()
    try:
        waiting.send(None)
    except StopIteration as done:
        message: Message = done.value
        return message
    finally:
        waiting.close()
    return None
