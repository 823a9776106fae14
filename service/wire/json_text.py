"""JSON to Python's values."""

import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from typing import Any

import orjson

from thimble.service.errors import RequestError

# What other writers put where there is no number.
_NO_NUMBER = re.compile(r"[+-]?(NaN|Infinity|inf|None|undefined)\b", re.IGNORECASE)


def parsed(text: bytes) -> Any:
    """The value of a text, which may begin with a byte order mark. RequestError 400: it is no JSON."""
    try:
        return orjson.loads(text.removeprefix(BOM_UTF8))
    except orjson.JSONDecodeError as error:
        if text.startswith((BOM_UTF16_BE, BOM_UTF16_LE)):
            raise RequestError(400, "invalid JSON: it is UTF-16, send UTF-8") from None
        if found := _NO_NUMBER.match(error.doc, error.pos) or _NO_NUMBER.match(error.doc, max(error.pos - 1, 0)):
            raise RequestError(
                400,
                f"invalid JSON: {found[0]} at line {error.lineno} column {error.colno} is no value; "
                "a missing one is null, or left out",
            ) from None
        raise RequestError(400, f"invalid JSON: {error}") from None
