"""Bodies as gzip or deflate, bounded in bytes before and after."""

import re
import zlib
from collections.abc import Mapping

from thimble.service.errors import RequestError

# zlib's window bits: gzip's header, or zlib's ("deflate" in HTTP)
_WINDOWS = {b"gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}
_NOT_WANTED = re.compile(rb"\s*q\s*=\s*0(\.0*)?\s*").fullmatch


def encoding(headers: Mapping[bytes, bytes]) -> bytes | None:
    """How a request's body is compressed, None if it is not. RequestError 415: in a way that is not supported."""
    name = headers.get(b"content-encoding", b"identity").lower()
    if name == b"identity":
        return None
    if name not in _WINDOWS:
        raise RequestError(415, f"Content-Encoding {name[:40].decode('latin-1')!r} is not gzip or deflate", unread=True)
    return name


def accepted(accept_encoding: bytes) -> bytes | None:
    """The first of our encodings that an Accept-Encoding names and wants, None if there is none."""
    named = (part.partition(b";") for part in accept_encoding.lower().split(b","))
    wanted = {name.strip() for name, _, weight in named if not _NOT_WANTED(weight)}
    return next((name for name in _WINDOWS if name in wanted), None)


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
