"""Which types of Arrow carry the values of a feature, and the arrays that they are read from."""

from binascii import hexlify
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as types

from thimble.export.clicks.value_options import ValueOptions
from thimble.models.inputs import Feature, ValueKind

_WORDS: dict[ValueKind, str] = {
    "number": "a number",
    "int": "an integer id",
    "hex": "a hexadecimal token",
    "string": "text",
}
_VIEWS = (pa.string_view(), pa.binary_view())
_TEXTS = (pa.string(), pa.large_string(), pa.binary(), pa.large_binary(), *_VIEWS)
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def misfit(feature: Feature, type_: Any, options: ValueOptions) -> str | None:
    """Why no value of a type is one of a feature's, None where they may be."""
    of = _of_values(type_)
    if feature.kind != "number" and is_list(of):
        if feature.bag is None:
            return f"its type is {type_}, and one value a row is wanted; a model trained with --multi takes lists"
        of = _of_values(of.value_type)
        if is_list(of):
            return f"its type is {type_}, and a list of values a row is wanted, not lists of lists"
    if feature.kind != "number" and (types.is_map(of) or (feature.bag and types.is_struct(of))):
        return f"its type is {type_}, and values have no weights"
    if feature.kind == "number" and is_moment(of):
        read = "--timestamps reads it as seconds since 1970"
        return None if options.timestamps else f"its type is {of}, which is not read as a number; {read}"
    fits = is_text(of) or types.is_null(of) or types.is_integer(of)
    fits |= feature.kind in ("number", "int") and (types.is_floating(of) or types.is_decimal(of))
    fits |= feature.kind == "number" and types.is_boolean(of)
    shown = type_ if feature.bag else of
    return None if fits else f"its type is {shown}, which is not read as {_WORDS[feature.kind]}"


def _of_values(type_: Any) -> Any:
    return type_.value_type if types.is_dictionary(type_) else type_


def readable(kind: ValueKind, array: Any, options: ValueOptions) -> Any:
    """The same values as numbers, integers, decimals or text, whichever the kind is read from, or dictionaries of them.

    Values that Arrow cannot make so all at once are made so once, however often they come.
    """
    if not types.is_dictionary(array.type):
        if not _is_made_singly(kind, array.type, options):
            return _readable(kind, array, options)
        array = array.dictionary_encode()
    elif len(array.dictionary) > len(array):
        return readable(kind, array.dictionary_decode(), options)
    return pa.DictionaryArray.from_arrays(array.indices, _readable(kind, array.dictionary, options))


def _is_made_singly(kind: ValueKind, type_: Any, options: ValueOptions) -> bool:
    moments = options.timestamps and kind == "number" and is_text(type_)
    texts_of_integers = types.is_integer(type_) and (kind == "string" or (kind == "hex" and type_.bit_width > 32))
    return bool(options.missing) or moments or texts_of_integers


def _readable(kind: ValueKind, array: Any, options: ValueOptions) -> Any:
    if types.is_null(array.type):
        return array.cast(pa.string())
    if array.type in _VIEWS:
        array = array.cast(pa.large_binary())  # Arrow has little that takes views
    if options.missing:
        if is_text(array.type):
            array = array.cast(pa.large_binary())  # not all of it may be UTF-8
        array = pc.if_else(pa.array(options.absent(kind, written(array)), pa.bool_()), None, array)
    if is_moment(array.type):
        array = seconds(array)
    if kind == "number" and types.is_decimal(array.type):
        array = array.cast(pa.string())  # from a decimal itself Arrow makes 0.9999999999999999 of 1.00000000000
        array = array.cast(pa.float64())
    if kind == "number" and types.is_boolean(array.type):
        array = array.cast(pa.float64())
    if options.timestamps and kind == "number" and is_text(array.type):
        tokens = options.text(kind, [text or "" for text in texts(array)])
        return pa.array([token.encode("utf-8", "surrogateescape") for token in tokens], pa.large_binary())
    if types.is_integer(array.type) and kind == "string":
        return array.cast(pa.string())
    if types.is_integer(array.type) and kind == "hex":
        return _tokens(array)
    return array


def is_text(type_: Any) -> bool:
    """Whether values are text, or bytes, which are text if they are UTF-8."""
    return type_ in _TEXTS or types.is_fixed_size_binary(type_)


def is_list(type_: Any) -> bool:
    """Whether a row has several values. A map is none: its values have keys."""
    lists = (types.is_list, types.is_large_list, types.is_fixed_size_list, types.is_list_view, types.is_large_list_view)
    return any(is_one(type_) for is_one in lists)


def texts(array: Any) -> list[str | None]:
    """Text or bytes as text, in which surrogates stand for what is not UTF-8.

    Other writers store that as text, too, and Arrow looks at it only when it makes text of bytes.
    """
    raw = array.cast(pa.large_binary())
    try:
        found: list[str | None] = raw.cast(pa.large_string()).to_numpy(zero_copy_only=False).tolist()
    except pa.ArrowInvalid:
        found = [None if it is None else it.decode("utf-8", "surrogateescape") for it in raw.to_pylist()]
    return found  # numpy makes a list ten times as fast as to_pylist


def is_moment(type_: Any) -> bool:
    return bool(types.is_timestamp(type_) or types.is_date(type_))


def seconds(array: Any) -> Any:
    """Seconds since 1970 as float64."""
    moments = array.cast(pa.timestamp("s")) if types.is_date(array.type) else array
    return pc.divide(moments.cast(pa.int64()).cast(pa.float64(), safe=False), _PER_SECOND[moments.type.unit])


def written(array: Any) -> list[str | None]:
    """Values of any type as they are written in text."""
    if is_text(array.type):
        return texts(array)
    if is_moment(array.type):
        array = array.cast(pa.timestamp("us"), safe=False)  # without the zone: they count from 1970, UTC
    found: list[str | None] = array.cast(pa.string()).to_pylist()
    return found


def _tokens(array: Any) -> Any:
    """Integers as hexadecimal tokens. Those of at most 32 bits are these bits, as Criteo's tokens are often stored."""
    if array.type.bit_width > 32:
        return pa.array([None if value is None else f"{value:x}" for value in array.to_pylist()], pa.string())
    bits = array.fill_null(0).to_numpy().astype(np.int64).astype(">u4")
    offsets = np.arange(0, 8 * len(array) + 1, 8, dtype=np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(hexlify(bits.tobytes()))]
    tokens = pa.Array.from_buffers(pa.string(), len(array), buffers)
    return pc.if_else(array.is_valid(), tokens, None) if array.null_count else tokens
