"""The headers of requests, read by one set of rules (RFC 9110), whichever door a request takes."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from thimble.models.conversions import shown
from thimble.service.errors import RequestError
from thimble.service.http.replies import Header
from thimble.service.wire.compression import ENCODINGS
from thimble.service.wire.rows import JSON

Headers = dict[bytes, bytes]
"""By names in lower case, one value each, without blanks around it."""

# What is within quotes separates nothing.
_BETWEEN = {mark: re.compile(rb'(?:[^"%s]|"(?:[^"\\]|\\.)*"?)+' % mark, re.DOTALL) for mark in (b",", b";")}
_WEIGHT = re.compile(rb"0(\.[0-9]{0,3})?|1(\.0{0,3})?").fullmatch
_IDENTITY = b"identity"
_UTF8 = ("utf-8", "utf8", "us-ascii")


class MediaType(NamedTuple):
    """What a body is said to be, in lower case."""

    name: str
    charset: str

    def check(self, body: bytes) -> None:
        """RequestError 415: the body is text in another encoding than UTF-8, of which ASCII is a part."""
        if self.charset not in _UTF8 and not body.isascii():
            raise RequestError(415, f"Content-Type: charset {shown(self.charset)} is not supported; send UTF-8")


def joined(lines: Iterable[Header]) -> Headers:
    """The values by name. Several lines of one name are one list, as if they had come so (RFC 9110, 5.3)."""
    fields: Headers = {}
    for name, value in lines:
        fields[name] = fields[name] + b", " + value.rstrip() if name in fields else value.rstrip()
    return fields


@lru_cache(64)
def media_type(content_type: bytes) -> MediaType:
    """Of a Content-Type; JSON where it is empty. Where several lines do not say the same it is none that there is."""
    said = {*_split(content_type, b",")}
    name, parameters = _parameters(said.pop()) if len(said) == 1 else (content_type.lower(), {})
    charset = parameters.get(b"charset", b"utf-8").lower()
    return MediaType(name.decode("latin-1") or JSON, charset.decode("latin-1"))


def content_encoding(headers: Headers) -> bytes | None:
    """How a body is compressed, None if it is not. RequestError 415: in a way that is not supported."""
    value = headers.get(b"content-encoding", b"")
    names = [_coding(part.lower()) for part in _split(value, b",")]
    match [name for name in names if name != _IDENTITY]:
        case []:
            return None
        case [name] if name in ENCODINGS:
            return name
    raise RequestError(415, f"Content-Encoding {shown(value.decode('latin-1'))} is not gzip or deflate", unread=True)


def accepted_encoding(accept_encoding: bytes) -> bytes | None:
    """Which of our encodings an Accept-Encoding wants most, None if it wants the plain body more, or none."""
    weights = {}
    for name, parameters in map(_parameters, _split(accept_encoding, b",")):
        weight = parameters.get(b"q", b"1")
        weights[_coding(name)] = float(weight) if _WEIGHT(weight) else 0.0
    others = weights.get(b"*", 0.0)
    best = max(ENCODINGS, key=lambda name: weights.get(name, others))
    weight_of_best = weights.get(best, others)
    return best if weight_of_best > 0 and weight_of_best >= weights.get(_IDENTITY, 0.0) else None


def _split(value: bytes, mark: bytes) -> list[bytes]:
    """The parts between marks, without those that are empty."""
    return [part for found in _BETWEEN[mark].findall(value) if (part := found.strip())]


def _parameters(element: bytes) -> tuple[bytes, Headers]:
    """The name that an element begins with, and its parameters, as of `gzip; q=0.5`. Names are in lower case."""
    name, *rest = _split(element, b";") or [b""]
    parameters = {}
    for part in rest:
        key, _, value = part.partition(b"=")
        parameters[key.strip().lower()] = _unquoted(value.strip())
    return name.lower(), parameters


def _unquoted(value: bytes) -> bytes:
    return re.sub(rb"\\(.)", rb"\1", value[1:-1]) if value[:1] == value[-1:] == b'"' and len(value) > 1 else value


def _coding(name: bytes) -> bytes:
    return b"gzip" if name == b"x-gzip" else name  # one and the same (RFC 9110, 8.4.1.3)
