"""Which types of Arrow carry the values of a feature, and the arrays that they are read from."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as types

from thimble.export.value_options import ValueOptions
from thimble.models.inputs import ValueKind

_WORDS: dict[ValueKind, str] = {
    "number": "a number",
    "int": "an integer id",
    "hex": "a hexadecimal token",
    "string": "text",
}
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def misfit(kind: ValueKind, type_: Any, options: ValueOptions) -> str | None:
    """Why no value of a type is one of a feature's kind, None where they may be."""
    if types.is_dictionary(type_):
        type_ = type_.value_type
    if kind == "number" and _is_moment(type_):
        read = "--timestamps reads it as seconds since 1970"
        return None if options.timestamps else f"its type is {type_}, which is not read as a number; {read}"
    fits = is_text(type_) or is_bytes(type_) or types.is_null(type_) or types.is_integer(type_)
    fits |= kind in ("number", "int") and (types.is_floating(type_) or types.is_decimal(type_))
    fits |= kind == "number" and types.is_boolean(type_)
    return None if fits else f"its type is {type_}, which is not read as {_WORDS[kind]}"


def readable(kind: ValueKind, array: Any, options: ValueOptions) -> Any:
    """The same values as numbers, integers, decimals, text or bytes, whichever the kind is read from."""
    if types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if _is_moment(array.type):
        array = _seconds(array)
    if kind == "number" and types.is_decimal(array.type):
        array = array.cast(pa.string())  # from a decimal itself Arrow makes 0.9999999999999999 of 1.00000000000
        array = array.cast(pa.float64())
    if kind == "number" and types.is_boolean(array.type):
        array = array.cast(pa.float64())
    if options.missing:
        array = pc.if_else(_is_one_of(array, options.missing), None, array)
    if options.timestamps and kind == "number" and (is_text(array.type) or is_bytes(array.type)):
        return pa.array([text and options.text(kind, [text])[0] for text in _texts(array)], pa.string())
    if types.is_integer(array.type) and kind == "string":
        return array.cast(pa.string())
    if types.is_integer(array.type) and kind == "hex":
        return pa.array([_token(value, array.type.bit_width) for value in array.to_pylist()], pa.string())
    return array


def is_text(type_: Any) -> bool:
    """Whether values are text."""
    return bool(types.is_string(type_) or types.is_large_string(type_) or types.is_string_view(type_))


def is_bytes(type_: Any) -> bool:
    """Whether values are bytes, which are text if they are UTF-8."""
    kinds = (types.is_binary, types.is_large_binary, types.is_fixed_size_binary, types.is_binary_view)
    return any(is_kind(type_) for is_kind in kinds)


def _is_moment(type_: Any) -> bool:
    return bool(types.is_timestamp(type_) or types.is_date(type_))


def _seconds(array: Any) -> Any:
    """Seconds since 1970 as float64."""
    moments = array.cast(pa.timestamp("s")) if types.is_date(array.type) else array
    return pc.divide(moments.cast(pa.int64()).cast(pa.float64(), safe=False), _PER_SECOND[moments.type.unit])


def _texts(array: Any) -> list[str | None]:
    """Text, in which a mark stands for bytes that are not UTF-8."""
    return [it.decode("utf-8", "replace") if isinstance(it, bytes) else it for it in array.to_pylist()]


def _is_one_of(array: Any, words: frozenset[str]) -> Any:
    """Which values are written as one of the words, -999 as well as n/a."""
    texts = pa.array(_texts(array), pa.string()) if is_bytes(array.type) else array.cast(pa.string())
    return pc.is_in(pc.utf8_lower(pc.utf8_trim_whitespace(texts)), pa.array(sorted(words)))


def _token(value: int | None, bits: int) -> str | None:
    """A negative integer of at most 32 bits is those bits, as Criteo's tokens are often stored."""
    if value is None:
        return None
    return f"{value & 0xFFFFFFFF if bits <= 32 else value:x}"
