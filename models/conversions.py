"""Columns of values to arrays, by the kind of their feature: all at once, or not at all."""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import xxhash

from thimble.models.hashing import ID_BITS, ID_LIMIT, Floats, Int64s
from thimble.models.inputs import ValueKind

_MAX_HEX_DIGITS = ID_BITS // 4
_MAX_INT_DIGITS = 100  # Python's own integer parser is quadratic in the length
_HEX = b"0123456789abcdefABCDEF"
_DECIMAL = b"0123456789"
_NUMERIC = b"0123456789+-.eE"
_SHOWN = 40
_NUMBER = frozenset((int, float, type(None)))
_TEXT = frozenset((str, type(None)))

Array = TypeVar("Array", Floats, Int64s)
Column = Sequence[Any]


class BadValueError(ValueError):
    """Why values are not of their kind: what is wrong with the first of them, where there is only one."""


def shown(value: object) -> str:
    """A value as error messages quote it: never longer than a line."""
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


def _numbers_from_values(values: Column) -> Floats:
    if not _NUMBER.issuperset(map(type, values)):
        raise BadValueError(f"{shown(values[0])} is not a number")
    return _float32(values)


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
    if not _only(tokens, _DECIMAL) or max(map(len, tokens), default=0) > _MAX_INT_DIGITS:
        raise BadValueError(f"{shown(tokens[0])} is not an integer from 0 to 2^{ID_BITS} - 1")
    return _int64([int(token) if token else 0 for token in tokens])


def _ints_from_values(values: Column) -> Int64s:
    if not set(map(type, values)) <= {int}:
        values = [_whole(value) for value in values]
    return _int64(values)


def _whole(value: object) -> int:
    """An integer, also one that a data frame turned into a float because its column has gaps."""
    if value is None:
        return 0
    if type(value) is int:
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise BadValueError(f"{shown(value)} is not an integer")


def _int64(ids: Sequence[int]) -> Int64s:
    if ids and not 0 <= min(ids) <= max(ids) < ID_LIMIT:
        raise BadValueError(f"id {shown(ids[0])} is not in the range 0 to 2^{ID_BITS} - 1")
    return np.array(ids, dtype=np.int64)


def _hex_ids(tokens: Column) -> Int64s:
    ids = _eight_digit_ids(tokens)
    if ids is not None:
        return ids
    tokens = [token or "" for token in tokens]
    if not _only(tokens, _HEX):
        raise BadValueError(f"{shown(tokens[0])} is not a hexadecimal token")
    if max(map(len, tokens), default=0) > _MAX_HEX_DIGITS:
        raise BadValueError(f"{shown(tokens[0])} is longer than {_MAX_HEX_DIGITS} hexadecimal digits")
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


def _string_ids(tokens: Column) -> Int64s:
    """The top 60 bits of xxh3_64 over the UTF-8 bytes."""
    digest = xxhash.xxh3_64_intdigest
    try:
        return np.array([digest(t.encode()) >> 4 if t and not t.isspace() else 0 for t in tokens], dtype=np.int64)
    except UnicodeEncodeError:
        raise BadValueError(f"{shown(tokens[0])} is not valid Unicode text") from None


def _from_strings(convert: Callable[[Column], Int64s], wanted: str) -> Callable[[Column], Int64s]:
    def from_values(values: Column) -> Int64s:
        if not _TEXT.issuperset(map(type, values)):
            raise BadValueError(f"{shown(values[0])} is not {wanted}")
        return convert(values)

    return from_values


def _only(tokens: Column, alphabet: bytes) -> bool:
    return not "".join(tokens).encode("utf-8", "surrogatepass").translate(None, alphabet)


FROM_TEXT: dict[ValueKind, Callable[[Column], npt.NDArray[Any]]] = {
    "number": _numbers_from_text,
    "int": _ints_from_text,
    "hex": _hex_ids,
    "string": _string_ids,
}
FROM_VALUES: dict[ValueKind, Callable[[Column], npt.NDArray[Any]]] = {
    "number": _numbers_from_values,
    "int": _ints_from_values,
    "hex": _from_strings(_hex_ids, "a hexadecimal token in a string"),
    "string": _from_strings(_string_ids, "a string"),
}
