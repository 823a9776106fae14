"""The values of tensors that were sent, in JSON or as bytes, to arrays as the model takes them."""

import struct
from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from thimble.models.features import Cuts, FeatureError, column_from_text, dense_from_values, ids_from_ids
from thimble.models.hashing import ID_LIMIT
from thimble.models.inputs import DType, InputTensor
from thimble.service.errors import RequestError
from thimble.service.wire.bags import BagLimits

Array = npt.NDArray[Any]
DATATYPES: dict[DType, tuple[str, ...]] = {"float32": ("FP32",), "int64": ("INT64", "BYTES")}
"""How a tensor may be sent, first as it is. BYTES are the values as text."""
_LITTLE_ENDIAN = {"FP32": "<f4", "INT64": "<i8"}
_LENGTH = struct.Struct("<I")


class SentTensor(NamedTuple):
    """A tensor that was sent, [rows, width]: `data` are its bytes, or its values row by row."""

    input: InputTensor
    datatype: str
    rows: int
    width: int
    data: memoryview | list[Any]

    def refused(self, reason: str) -> RequestError:
        return RequestError(400, f"{self.input.name}: {reason}")


def widths(tensor: InputTensor, datatype: str) -> list[int]:
    """How many elements a row may be sent as: one a column or, as text, one a feature, in which bags are whole."""
    return [tensor.width, *({len(tensor.features)} - {tensor.width} if datatype == "BYTES" else ())]


def read(tensor: SentTensor, limits: BagLimits, cuts: Cuts) -> Array:
    """[rows, columns of the model's tensor]. What bags have no room for is counted in `cuts`.

    RequestError: 400 names the value that its feature does not take, 413 a bag of too many.
    """
    if tensor.datatype == "BYTES":
        return _read_text(tensor, limits, cuts)
    if isinstance(tensor.data, memoryview):
        return _read_binary(tensor, tensor.data)
    try:
        if tensor.datatype == "FP32":
            values: Array = dense_from_values(tensor.input.name, tensor.data)
        else:
            values = ids_from_ids(tensor.input.name, tensor.data)
    except FeatureError as error:
        row, column = divmod(error.row, tensor.input.width)
        name = tensor.input.columns[column].name
        raise tensor.refused(f"{name} in row {row}: {error.reason}") from None
    return values.reshape(tensor.rows, tensor.input.width)


def _read_binary(tensor: SentTensor, data: memoryview) -> Array:
    array: Array = np.frombuffer(data, _LITTLE_ENDIAN[tensor.datatype]).reshape(tensor.rows, tensor.input.width)
    # a negative id is a huge unsigned one
    bad = np.isinf(array) if tensor.datatype == "FP32" else array.view(np.uint64) >= ID_LIMIT
    if bad.any():
        row, column = np.argwhere(bad)[0]
        name = tensor.input.columns[column].name
        if tensor.datatype == "FP32":
            raise tensor.refused(f"{name} is infinite in row {row}")
        raise tensor.refused(f"{name} is {array[row, column]} in row {row}, not in 0 to 2^60 - 1")
    return array


def _read_text(tensor: SentTensor, limits: BagLimits, cuts: Cuts) -> Array:
    tokens = _strings(tensor, tensor.data) if isinstance(tensor.data, memoryview) else tensor.data
    if not all(isinstance(token, str) for token in tokens):
        raise tensor.refused("data of datatype BYTES must be strings")
    ids: Array = np.empty((tensor.rows, tensor.input.width), np.int64)
    columns = zip(tensor.input.features, tensor.input.places, _columns(tensor, tokens), strict=True)
    for feature, place, column in columns:
        if feature.bag:
            limits.check(feature, column)
        try:
            ids[:, place] = column_from_text(feature, column, cuts)
        except FeatureError as error:
            raise tensor.refused(f"{error} (row {error.row})") from None
    return ids


def _columns(tensor: SentTensor, tokens: list[Any]) -> Iterator[list[Any]]:
    """Of each feature its values, row by row; a bag as one text, or as a list where its values are elements."""
    width = tensor.width
    if width == len(tensor.input.features):
        yield from (tokens[column::width] for column in range(width))
        return
    for place in tensor.input.places:
        if isinstance(place, int):
            yield tokens[place::width]
        else:
            yield [tokens[row + place.start : row + place.stop] for row in range(0, len(tokens), width)]


def flat(name: str, data: Any, rows: int, width: int) -> list[Any]:
    """Data of [rows, width], row by row, given flat or nested as its shape is."""
    if not isinstance(data, list):
        raise RequestError(400, f"{name}: data is missing")
    values: list[Any] = data
    if data and all(isinstance(row, list) for row in data):
        if len(data) != rows or any(len(row) != width for row in data):
            raise RequestError(400, f"{name}: data is not nested as its shape [{rows}, {width}] says")
        values = list(chain.from_iterable(data))
    if len(values) != rows * width:
        raise RequestError(
            400, f"{name}: data has {len(values)} values, but shape [{rows}, {width}] has {rows * width}"
        )
    return values


def _strings(tensor: SentTensor, data: memoryview) -> list[str]:
    """Texts that have their length in four bytes before them.

    They weigh twice what the body does, so nothing else is made beside them: no copy of the data, no list of bytes.
    """
    count = tensor.rows * tensor.width
    texts: list[str] = []
    at = 0
    while len(texts) < count and at + _LENGTH.size <= len(data):
        start = at + _LENGTH.size
        at = start + _LENGTH.unpack_from(data, at)[0]
        if at > len(data):
            raise tensor.refused(f"element {len(texts)} is longer than what is left of its data")
        try:
            texts.append(str(data[start:at], "utf-8"))
        except UnicodeDecodeError:
            raise tensor.refused(f"element {len(texts)} is not valid UTF-8") from None
    if len(texts) < count or at != len(data):
        raise tensor.refused(f"its {len(data)} bytes are not the {count} elements that its shape says")
    return texts
