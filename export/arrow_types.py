"""Which types of Arrow carry the values of a feature, and the arrays that they are read from."""

from typing import Any

import pyarrow as pa
import pyarrow.types as types

from thimble.models.inputs import ValueKind

_WORDS: dict[ValueKind, str] = {
    "number": "a number",
    "int": "an integer id",
    "hex": "a hexadecimal token",
    "string": "text",
}


def misfit(kind: ValueKind, type_: Any) -> str | None:
    """Why no value of a type is one of a feature's kind, None where they may be."""
    if types.is_dictionary(type_):
        type_ = type_.value_type
    fits = is_text(type_) or is_bytes(type_) or types.is_null(type_) or types.is_integer(type_)
    fits |= kind in ("number", "int") and (types.is_floating(type_) or types.is_decimal(type_))
    fits |= kind == "number" and types.is_boolean(type_)
    return None if fits else f"its type is {type_}, which is not read as {_WORDS[kind]}"


def readable(kind: ValueKind, array: Any) -> Any:
    """The same values as numbers, integers, decimals, text or bytes, whichever the kind is read from."""
    if types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if kind == "number" and (types.is_boolean(array.type) or types.is_decimal(array.type)):
        return array.cast(pa.float64())
    if types.is_float16(array.type):
        return array.cast(pa.float32())
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


def _token(value: int | None, bits: int) -> str | None:
    """A negative integer of at most 32 bits is those bits, as Criteo's tokens are often stored."""
    if value is None:
        return None
    return f"{value & 0xFFFFFFFF if bits <= 32 else value:x}"
