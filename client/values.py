"""Single values: what JSON has for them, and what is wrong with those for which it has nothing."""

from collections.abc import Mapping
from decimal import Decimal
from math import isinf
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

TO_LIST = ("tolist", "to_list", "to_pylist")
"""How columns make lists of themselves: numpy's and pandas', polars', pyarrow's."""
_MISSING = ("NAType", "NaTType")  # of pandas, which is not imported
_SHOWN = 40
_LIMIT = 1 << 64
_FINITE = frozenset((int, str, bool, type(None)))


def to_json(value: object) -> bytes:
    """A value, or lists and dicts of values. orjson's JSONEncodeError: one of them has no form.

    It writes null for infinity, which `first_infinity` finds.
    """
    return orjson.dumps(value, _plain, orjson.OPT_PASSTHROUGH_DATETIME)


def listed(values: npt.NDArray[Any]) -> Any:
    """An array as a list of lists of its values; as a scalar where it has no dimensions."""
    if values.ndim == 0:
        return values[()]
    if values.dtype.kind in "mM":
        return [*values]  # tolist would make numbers of times
    return values.tolist()


def has_form(value: object) -> bool:
    """Whether JSON can say what the value is: a number, text, missing, or lists and dicts of them."""
    try:
        to_json(value)
    except orjson.JSONEncodeError:
        return False
    return not (isinstance(value, float) and isinf(value))


def first_infinity(values: list[object]) -> int | None:
    """Which value is infinite or a bag with an infinity, None if there is none."""
    if _FINITE.issuperset(map(type, values)):
        return None
    return next((row for row, value in enumerate(values) if _has_infinity(value)), None)


def _has_infinity(value: object) -> bool:
    if isinstance(value, float | np.floating):
        return isinf(value)
    if isinstance(value, Mapping):
        return any(map(_has_infinity, value.values()))
    if isinstance(value, np.ndarray):
        value = value.ravel()
    return isinstance(value, list | tuple | np.ndarray) and any(map(_has_infinity, value))


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
    if isinstance(value, np.ndarray):
        return listed(value)
    for method in () if isinstance(value, np.generic) else TO_LIST:  # a bag
        if hasattr(value, method):
            values: object = getattr(value, method)()
            return values
    raise TypeError(f"{type(value).__name__} has no form in JSON")
