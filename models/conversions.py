"""What each kind of feature accepts, as text and as typed values, and the numbers and ids that it becomes.

Every value is either plain, and then a whole column of them is converted at once, or made plain by itself first. Text
that people write for a missing value (`MISSING_WORDS`) is one of those that are made plain.
"""

import math
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xxhash

from thimble.models.hashing import ID_BITS, ID_LIMIT, Floats, Int64s
from thimble.models.inputs import ValueKind
from thimble.models.plain_values import (
    MAX_HEX_DIGITS,
    MAX_INT_DIGITS,
    NUMBER,
    is_id,
    is_id_text,
    is_number,
    is_number_text,
    is_string,
    is_string_text,
    is_token,
    is_token_text,
)

MISSING_WORDS = frozenset(("", "nan", "null", "na", "n/a", "<na>", "none", "\\n"))
"""Text that stands for a missing number, integer or token, in any case. In text fields only `\\N` does."""

EXACT_FLOATS: dict[type, int] = {float: 1 << 53, np.float64: 1 << 53, np.float32: 1 << 24, np.float16: 1 << 11}
"""From here on a float of that type stands for several integers."""

_NULL_TEXT = "\\N"
_TRUTHS = {"true": "1", "false": "0"}
_HEX = b"0123456789abcdefABCDEF"
_DECIMAL = b"0123456789"
_NUMERIC = b"0123456789+-.eE"
_SHOWN = 40
_NUMBER = frozenset((int, float, type(None)))
_INTEGER = frozenset((int, type(None)))
_TEXT = frozenset((str, type(None)))

Column = Sequence[Any]


class BadValueError(ValueError):
    """Why values are not of their kind: what is wrong with the first of them, where there is only one."""


class Reading(NamedTuple):
    """How values of one kind are read.

    `convert` turns a column of plain values into an array, or raises BadValueError. `plain` makes one value plain; what
    it can make nothing of stays as it is. `is_good` says of one plain value whether `convert` takes it: where many are
    bad, that is found out sooner than by as many exceptions. `missing` is the plain missing value.
    """

    convert: Callable[[Column], npt.NDArray[Any]]
    plain: Callable[[Any], Any]
    is_good: Callable[[Any], bool]
    missing: str | None


def shown(value: object) -> str:
    """A value as error messages quote it: never longer than a line."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, int) and value.bit_length() > 4 * _SHOWN:
        return f"an integer of {value.bit_length()} bits"  # Python refuses to write out very long ones
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"  # which may be deeper than repr can go
    text = repr(value[: _SHOWN + 1] if isinstance(value, str) else value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _numbers_from_text(tokens: Column) -> Floats:
    if not _only(tokens, _NUMERIC):
        raise BadValueError(f"{shown(tokens[0])} is not a finite number")
    try:
        return _float32([float(token) if token else math.nan for token in tokens])
    except BadValueError:
        raise
    except ValueError:
        raise BadValueError(f"{shown(tokens[0])} is not a finite number") from None


def _plain_number_text(token: str) -> str:
    token = _stripped(token)
    return _TRUTHS.get(token.casefold(), token)


def _numbers_from_values(values: Column) -> Floats:
    if not _NUMBER.issuperset(map(type, values)):
        raise BadValueError(f"{shown(values[0])} is not a number")
    return _float32(values)


def _plain_number(value: object) -> object:
    if isinstance(value, bool):
        return int(value)
    return None if isinstance(value, str) and not value.strip() else value


def _float32(values: Column) -> Floats:
    try:
        wide = np.array(values, dtype=np.float64)
    except OverflowError:
        wide = np.array([math.inf])
    with np.errstate(over="ignore"):  # what rounds to the largest number is that; its shortest decimal is above it
        narrow = wide.astype(np.float32)
    if np.isinf(narrow).any():
        raise BadValueError(f"{shown(values[0])} is not a finite float32 number")
    return narrow


def _ints_from_text(tokens: Column) -> Int64s:
    if not _only(tokens, _DECIMAL) or max(map(len, tokens), default=0) > MAX_INT_DIGITS:
        raise BadValueError(_no_integer(tokens[0]))
    return _ids([int(token) if token else 0 for token in tokens], "-2^63 to 2^64 - 1")


def _ints_from_values(values: Column) -> Int64s:
    return _ids(_integers(values), "-2^63 to 2^64 - 1")


def _ids_from_values(values: Column) -> Int64s:
    return _ids(_integers(values), f"0 to 2^{ID_BITS} - 1")


def _integers(values: Column) -> Sequence[int]:
    types = set(map(type, values))
    if types != {int}:
        if not types <= _INTEGER:
            raise BadValueError(_no_integer(values[0]))
        values = [value or 0 for value in values]
    return values


def _ids(ids: Sequence[int], limits: str) -> Int64s:
    if ids and not 0 <= min(ids) <= max(ids) < ID_LIMIT:
        raise BadValueError(f"id {shown(ids[0])} is not in the range {limits}")
    return np.array(ids, dtype=np.int64)


def _plain_integer_text(token: str) -> str:
    value = _plain_integer(token)
    return "" if value is None else str(value)


def _plain_integer(value: object) -> object:
    """Every 64-bit integer is an id. Below 2^60 it is its own, any other is hashed as its digits are."""
    value = _whole(value)
    if type(value) is int and not 0 <= value < ID_LIMIT and -(1 << 63) <= value < 1 << 64:
        return int(_string_ids([str(value)])[0])
    return value


def _plain_id(value: object) -> object:
    return value if isinstance(value, str) and value.strip() else _whole(value)


def _whole(value: object) -> object:
    """The integer that a value is, or that it was before a data frame made it a float because its column has gaps."""
    number = value
    if isinstance(value, str):
        value = _stripped(value)
        if not value:
            return None
        number = _number(value)
    if isinstance(number, Decimal):
        return int(number) if number == number.to_integral_value() else value
    if isinstance(number, float | np.floating):
        size = abs(float(number))
        exact = size < EXACT_FLOATS[type(number)] or size >= 1 << 64
        return int(number) if exact and size.is_integer() else value
    return value if number is None else number


def _number(token: str) -> int | float | None:
    """What a text without blanks says, None where it is no number. Digits of other scripts are none."""
    if len(token) > MAX_INT_DIGITS or not NUMBER.fullmatch(token):
        return None
    try:
        return int(token)
    except ValueError:
        return float(token)


def exact_number(token: str) -> Decimal | None:
    """What a text without blanks says to its last digit, None where it is no number."""
    if len(token) > MAX_INT_DIGITS or not NUMBER.fullmatch(token):
        return None
    try:
        return Decimal(token)
    except InvalidOperation:  # its exponent is too large
        return None


def _no_integer(value: object) -> str:
    number = _number(value) if isinstance(value, str) else value
    if isinstance(number, float | np.floating) and float(number).is_integer():
        name, limit = type(number).__name__, EXACT_FLOATS[type(number)]
        if abs(float(number)) >= limit:
            return f"{shown(value)} is a {name}, which from 2^{limit.bit_length() - 1} on stands for several integers"
    return f"{shown(value)} is not an integer"


def _hex_ids(tokens: Column) -> Int64s:
    ids = _eight_digit_ids(tokens)
    if ids is not None:
        return ids
    tokens = [token or "" for token in tokens]
    if not _only(tokens, _HEX):
        raise BadValueError(f"{shown(tokens[0])} is not a hexadecimal token")
    if max(map(len, tokens), default=0) > MAX_HEX_DIGITS:
        raise BadValueError(f"{shown(tokens[0])} is longer than {MAX_HEX_DIGITS} hexadecimal digits")
    return np.array([int(token, 16) if token else 0 for token in tokens], dtype=np.int64)


def _eight_digit_ids(tokens: Column) -> Int64s | None:
    """Criteo's tokens have eight digits each, so they can be read all at once; None if these are others."""
    whole = [token or "00000000" for token in tokens]
    if set(map(len, whole)) != {8}:
        return None
    try:
        digits = bytes.fromhex("".join(whole))
    except ValueError:
        return None
    # white space among the digits is passed over, and then there are too few
    return np.frombuffer(digits, ">u4").astype(np.int64) if len(digits) == 4 * len(whole) else None


def _hex_ids_from_values(values: Column) -> Int64s:
    if not _TEXT.issuperset(map(type, values)):
        raise BadValueError(f"{shown(values[0])} is not a hexadecimal token in a string")
    return _hex_ids(values)


def _stripped(token: str) -> str:
    """Without the blanks around it; nothing where it says that the value is missing."""
    token = token.strip()
    return "" if token.casefold() in MISSING_WORDS else token


def _plain_token(value: object) -> object:
    return _stripped(value) if isinstance(value, str) else value


def _string_ids(tokens: Column) -> Int64s:
    """The top 60 bits of xxh3_64 over the UTF-8 bytes."""
    digest = xxhash.xxh3_64_intdigest
    try:
        return np.array([digest(t.encode()) >> 4 if t and not t.isspace() else 0 for t in tokens], dtype=np.int64)
    except UnicodeEncodeError:
        raise BadValueError(f"{shown(tokens[0])} is not valid Unicode text") from None


def _string_ids_from_text(tokens: Column) -> Int64s:
    return _string_ids([*map(_plain_text, tokens)] if _NULL_TEXT in tokens else tokens)


def _string_ids_from_values(values: Column) -> Int64s:
    if not _TEXT.issuperset(map(type, values)):
        raise BadValueError(f"{shown(values[0])} is not a string")
    return _string_ids(values)


def _plain_text(token: str) -> str:
    return "" if token == _NULL_TEXT else token


def _same(value: Any) -> Any:
    return value


def _only(tokens: Column, alphabet: bytes) -> bool:
    return not "".join(tokens).encode("utf-8", "surrogatepass").translate(None, alphabet)


FROM_TEXT: dict[ValueKind, Reading] = {
    "number": Reading(_numbers_from_text, _plain_number_text, is_number_text, ""),
    "int": Reading(_ints_from_text, _plain_integer_text, is_id_text, ""),
    "hex": Reading(_hex_ids, _plain_token, is_token_text, ""),
    "string": Reading(_string_ids_from_text, _plain_text, is_string_text, ""),
}
FROM_VALUES: dict[ValueKind, Reading] = {
    "number": Reading(_numbers_from_values, _plain_number, is_number, None),
    "int": Reading(_ints_from_values, _plain_integer, is_id, None),
    "hex": Reading(_hex_ids_from_values, _plain_token, is_token, None),
    "string": Reading(_string_ids_from_values, _same, is_string, None),
}
IDS = Reading(_ids_from_values, _plain_id, is_id, None)
"""Integers that are ids already: those of 64 bits are not hashed, but refused."""
