"""Whether one plain value is of its kind, which `thimble.models.conversions` says of whole columns.

Where thousands of a column are bad, this tells which without an exception for each.
"""

import re

from thimble.models.hashing import ID_BITS, ID_LIMIT

MAX_HEX_DIGITS = ID_BITS // 4
MAX_INT_DIGITS = 100  # Python's own integer parser is quadratic in the length

NUMBER = re.compile(r"[+-]?+(?:[0-9]++\.?+[0-9]*+|\.[0-9]++)(?:[eE][+-]?+[0-9]++)?+")
"""A finite number in text, without blanks. float() would take more, as digits of other scripts and underscores.

Nothing that has matched is given back: to divide up the digits of a long value in all ways takes the square of its
length.
"""

_TOKEN = re.compile("[0-9a-fA-F]*")
# Halfway from the largest float32 to 2^128. From there on numbers are rounded to infinity (IEEE 754, ties to even).
_FLOAT32_LIMIT = float((1 << 128) - (1 << 103))


def is_number_text(token: str) -> bool:
    return not token or (NUMBER.fullmatch(token) is not None and abs(float(token)) < _FLOAT32_LIMIT)


def is_number(value: object) -> bool:
    """NaN is missing, so it is good."""
    if type(value) is int:
        return value.bit_length() <= 128 and abs(float(value)) < _FLOAT32_LIMIT
    return value is None or (type(value) is float and not abs(value) >= _FLOAT32_LIMIT)


def is_id_text(token: str) -> bool:
    digits = token.isascii() and token.isdecimal() and len(token) <= MAX_INT_DIGITS
    return not token or (digits and int(token) < ID_LIMIT)


def is_id(value: object) -> bool:
    return value is None or (type(value) is int and 0 <= value < ID_LIMIT)


def is_token_text(token: str) -> bool:
    return len(token) <= MAX_HEX_DIGITS and _TOKEN.fullmatch(token) is not None


def is_token(value: object) -> bool:
    return value is None or (type(value) is str and is_token_text(value))


def is_string_text(token: str) -> bool:
    """Surrogates stand for bytes that are no UTF-8."""
    try:
        token.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_string(value: object) -> bool:
    return value is None or (type(value) is str and is_string_text(value))
