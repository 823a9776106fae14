"""Single values: what JSON has for them, and what is wrong with those for which it has nothing."""

from collections.abc import Mapping
from decimal import Decimal
from math import isinf

import numpy as np
import orjson

_MISSING = ("NAType", "NaTType")  # of pandas, which is not imported
_SHOWN = 40
_LIMIT = 1 << 64


def to_json(value: object) -> bytes:
    """A value, or lists and dicts of values. orjson's JSONEncodeError: one of them has no form.

    It writes null for infinity, which `first_infinity` finds.
    """
    return orjson.dumps(value, _plain, orjson.OPT_PASSTHROUGH_DATETIME)


def has_form(value: object) -> bool:
    """Whether JSON can say what the value is: a number, text, missing, or lists and dicts of them."""
    try:
        to_json(value)
    except orjson.JSONEncodeError:
        return False
    return not (isinstance(value, float) and isinf(value))


def first_infinity(values: list[object]) -> int | None:
    """Where it is, None if there is none."""
    if float not in set(map(type, values)):
        return None
    return next((row for row, value in enumerate(values) if isinstance(value, float) and isinf(value)), None)


def shown(value: object) -> str:
    """A value as the server's sentences quote it: never longer than a line."""
    if isinstance(value, int) and value.bit_length() > 4 * _SHOWN:
        return f"an integer of {value.bit_length()} bits"
    if isinstance(value, list | tuple | Mapping):
        return "an object" if isinstance(value, Mapping) else "a list"
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def complaint(value: object) -> str:
    """What is wrong with a value that has no form, in the server's words where it has some."""
    if isinstance(value, str):
        return f"{shown(value)} is not valid Unicode text"
    if isinstance(value, bytes):
        return f"{shown(value)} is not valid UTF-8"
    if isinstance(value, int):
        return f"{shown(value)} is not in the range -2^63 to 2^64 - 1"
    if isinstance(value, float | np.floating | Decimal):
        return f"{shown(value)} is not a finite float32 number"
    return f"{shown(value)} is neither a number nor text"


def _plain(value: object) -> object:
    """What JSON has for a value of a type that it does not know. TypeError: nothing."""
    if type(value).__name__ in _MISSING:
        return None
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, np.integer) and not isinstance(value, np.timedelta64):
        return int(value)
    if isinstance(value, Decimal) and value == value.to_integral_value() and abs(value) < _LIMIT:
        return int(value)
    if isinstance(value, Decimal | np.floating) and not isinf(number := float(value)):
        return number
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, np.ndarray) and value.ndim == 0:
        scalar: object = value[()]
        return scalar
    raise TypeError(f"{type(value).__name__} has no form in JSON")
