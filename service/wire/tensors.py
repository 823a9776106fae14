"""The values of tensors that were sent, in JSON or as bytes, to arrays as the model takes them."""

import struct
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from thimble.models.features import FeatureError, column_from_text, dense_from_values, ids_from_ids
from thimble.models.hashing import ID_LIMIT
from thimble.models.inputs import DType, InputTensor
from thimble.service.errors import RequestError

Array = npt.NDArray[Any]
DATATYPES: dict[DType, tuple[str, ...]] = {"float32": ("FP32",), "int64": ("INT64", "BYTES")}
"""How a tensor may be sent, first as it is. BYTES are the values as text."""
_LITTLE_ENDIAN = {"FP32": "<f4", "INT64": "<i8"}
_LENGTH = struct.Struct("<I")


class SentTensor(NamedTuple):
    """A tensor that was sent: `data` are its bytes, or its values row by row."""

    input: InputTensor
    datatype: str
    rows: int
    data: memoryview | list[Any]

    def refused(self, reason: str) -> RequestError:
        return RequestError(400, f"{self.input.name}: {reason}")


def read(tensor: SentTensor) -> Array:
    """[rows, width]. RequestError 400 names the value that its feature does not take."""
    if tensor.datatype == "BYTES":
        return _read_text(tensor)
    if isinstance(tensor.data, memoryview):
        return _read_binary(tensor, tensor.data)
    try:
        if tensor.datatype == "FP32":
            values: Array = dense_from_values(tensor.input.name, tensor.data)
        else:
            values = ids_from_ids(tensor.input.name, tensor.data)
    except FeatureError as error:
        row, column = divmod(error.row, tensor.input.width)
        name = tensor.input.features[column].name
        raise tensor.refused(f"{name} in row {row}: {error.reason}") from None
    return values.reshape(tensor.rows, tensor.input.width)


def _read_binary(tensor: SentTensor, data: memoryview) -> Array:
    array: Array = np.frombuffer(data, _LITTLE_ENDIAN[tensor.datatype]).reshape(tensor.rows, tensor.input.width)
    # a negative id is a huge unsigned one
    bad = np.isinf(array) if tensor.datatype == "FP32" else array.view(np.uint64) >= ID_LIMIT
    if bad.any():
        row, column = np.argwhere(bad)[0]
        name = tensor.input.features[column].name
        if tensor.datatype == "FP32":
            raise tensor.refused(f"{name} is infinite in row {row}")
        raise tensor.refused(f"{name} is {array[row, column]} in row {row}, not in 0 to 2^60 - 1")
    return array


def _read_text(tensor: SentTensor) -> Array:
    tokens = _strings(tensor, tensor.data) if isinstance(tensor.data, memoryview) else tensor.data
    if not all(isinstance(token, str) for token in tokens):
        raise tensor.refused("data of datatype BYTES must be strings")
    columns = []
    for column, feature in enumerate(tensor.input.features):
        try:
            columns.append(column_from_text(feature, tokens[column :: tensor.input.width]))
        except FeatureError as error:
            raise tensor.refused(f"{error} (row {error.row})") from None
    return np.stack(columns, axis=1)


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
    count = tensor.rows * tensor.input.width
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
