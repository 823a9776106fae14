"""Bodies as gzip or deflate, bounded in bytes before and after."""

import zlib

from thimble.service.errors import RequestError

# zlib's window bits: gzip's header, or zlib's ("deflate" in HTTP)
_WINDOWS = {b"gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}
ENCODINGS = tuple(_WINDOWS)
"""Their names in HTTP, the ones that are preferred first."""


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
