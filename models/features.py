"""Raw feature values to the arrays a model takes. Trainer and server share this, so both read a value alike.

Values come as text (tab- or comma-separated, blank = missing) or typed (JSON, Parquet; None or blank = missing).
A missing number becomes NaN, a missing id 0.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import xxhash

from thimble.models.hashing import ID_BITS, ID_LIMIT, Floats, Int64s
from thimble.models.inputs import Feature, InputTensor, Kind, ValueKind
from thimble.models.spec import ModelSpec

_MAX_HEX_DIGITS = ID_BITS // 4
_MAX_INT_DIGITS = 100  # Python's own integer parser is quadratic in the length
_HEX = b"0123456789abcdefABCDEF"
_DECIMAL = b"0123456789"
_NUMERIC = b"0123456789+-.eE"
_SHOWN = 40
_PARTS = 16  # of a column with a bad value, so that one among 4096 is found in 48 conversions
_NUMBER = frozenset((int, float, type(None)))
_TEXT = frozenset((str, type(None)))

Array = TypeVar("Array", Floats, Int64s)
Column = Sequence[Any]


class Batch(NamedTuple):
    """Rows as a model takes them: the tensors [rows, width] that `ModelSpec.inputs` describes, in its order."""

    dense: Floats
    ids: Int64s

    @property
    def rows(self) -> int:
        return len(self[0])

    def part(self, start: int, stop: int) -> "Batch":
        """Rows start..stop. Nothing is copied."""
        return Batch._make([tensor[start:stop] for tensor in self])

    @staticmethod
    def joined(parts: "Sequence[Batch]") -> "Batch":
        """One after the other."""
        return Batch._make(np.concatenate(tensors) for tensors in zip(*parts, strict=True))

    @staticmethod
    def missing(inputs: Sequence[InputTensor], rows: int) -> "Batch":
        """Rows in which all values are missing, to be filled in."""
        return Batch._make(np.full((rows, tensor.width), tensor.missing, tensor.dtype) for tensor in inputs)


class FeatureError(ValueError):
    """A value that its feature does not take. `row` counts from 0."""

    def __init__(self, feature: str, row: int, reason: str) -> None:
        super().__init__(f"{feature}: {reason}")
        self.feature = feature
        self.row = row
        self.reason = reason


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


def dense_from_text(feature: str, tokens: Column) -> Floats:
    """Decimal text -> float32 [rows]."""
    return _encode(feature, tokens, _numbers_from_text, missing="")


def dense_from_values(feature: str, values: Column) -> Floats:
    """Numbers -> float32 [rows]."""
    return _encode(feature, values, _numbers_from_values, missing=None)


def ids_from_text(feature: str, kind: Kind, tokens: Column) -> Int64s:
    """Text of the kind -> int64 [rows]."""
    return _encode(feature, tokens, _FROM_TEXT[kind], missing="")


def ids_from_values(feature: str, kind: Kind, values: Column) -> Int64s:
    """Integers for `int`, text for `hex` and `string` -> int64 [rows]."""
    return _encode(feature, values, _FROM_VALUES[kind], missing=None)


def column_from_text(feature: Feature, tokens: Column) -> npt.NDArray[Any]:
    """Text -> the feature's column of its tensor, [rows]. FeatureError names the bad value."""
    return _encode(feature.name, tokens, _FROM_TEXT[feature.kind], missing="")


def column_from_values(feature: Feature, values: Column) -> npt.NDArray[Any]:
    """Typed values -> the feature's column of its tensor, [rows]. FeatureError names the bad value."""
    return _encode(feature.name, values, _FROM_VALUES[feature.kind], missing=None)


def good_values(kind: ValueKind) -> Callable[[Column], npt.NDArray[Any]]:
    """What turns typed values into an array, all at once and without a look for blanks. It raises BadValueError."""
    return _FROM_VALUES[kind]


def encode_column(kind: ValueKind, values: Column, *, typed: bool) -> tuple[npt.NDArray[Any], dict[int, str]]:
    """A feature's column of its tensor, [rows], and what is wrong with its bad rows, which come out as missing.

    The good rows come out as they would without the bad ones.
    """
    return _encode_good(values, (_FROM_VALUES if typed else _FROM_TEXT)[kind], None if typed else "")


def batch_from_text(spec: ModelSpec, columns: Sequence[Column]) -> Batch:
    """Text columns in the order of the spec's features. FeatureError names the bad value."""
    return _batch(spec, columns, column_from_text)


def batch_from_values(spec: ModelSpec, columns: Sequence[Column]) -> Batch:
    """Typed columns in the order of the spec's features. FeatureError names the bad value."""
    return _batch(spec, columns, column_from_values)


def _batch(spec: ModelSpec, columns: Sequence[Column], encode: Callable[[Feature, Column], npt.NDArray[Any]]) -> Batch:
    given = dict(zip(spec.feature_names, columns, strict=True))
    return Batch._make(
        np.stack([encode(feature, given[feature.name]) for feature in tensor.features], axis=1)
        for tensor in spec.inputs
    )


def _encode(feature: str, values: Column, convert: Callable[[Column], Array], missing: str | None) -> Array:
    try:
        return convert(values)
    except BadValueError:  # or there are blanks among them
        encoded, bad = _encode_good(values, convert, missing)
    for row, reason in bad.items():
        raise FeatureError(feature, row, reason)
    return encoded


def _encode_good(
    values: Column, convert: Callable[[Column], Array], missing: str | None, first: int = 0
) -> tuple[Array, dict[int, str]]:
    """Convert a column at once or, where that fails, in ever smaller parts until what fails is one value.

    That is a blank, which counts as missing, or bad. `first` is the row of the first value.
    """
    try:
        return convert(values), {}
    except BadValueError as error:
        if len(values) == 1:
            blank = isinstance(values[0], str) and not values[0].strip()
            return convert([missing]), {} if blank else {first: str(error)}
    size = -(-len(values) // _PARTS)
    parts = [
        _encode_good(values[start : start + size], convert, missing, first + start)
        for start in range(0, len(values), size)
    ]
    bad = {row: reason for _, reasons in parts for row, reason in reasons.items()}
    return np.concatenate([encoded for encoded, _ in parts]), bad


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


_FROM_TEXT: dict[ValueKind, Callable[[Column], npt.NDArray[Any]]] = {
    "number": _numbers_from_text,
    "int": _ints_from_text,
    "hex": _hex_ids,
    "string": _string_ids,
}
_FROM_VALUES: dict[ValueKind, Callable[[Column], npt.NDArray[Any]]] = {
    "number": _numbers_from_values,
    "int": _ints_from_values,
    "hex": _from_strings(_hex_ids, "a hexadecimal token in a string"),
    "string": _from_strings(_string_ids, "a string"),
}
