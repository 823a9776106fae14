"""The Open Inference Protocol (v2) with Triton's binary tensors: inference requests to rows, scores to answers.

Inputs are `dense` FP32 [rows, numbers], NaN or null where one is missing, and `ids` INT64 [rows, fields], 0 where one
is missing; or `ids` as BYTES, the raw values as text, which are read as the model's spec says. The output is `score`
FP32 [rows].
"""

import json
import struct
from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import orjson

from thimble.models.features import Batch, FeatureError, dense_from_values, ids_from_text, ids_from_values, shown
from thimble.models.hashing import ID_LIMIT, Floats, Int64s
from thimble.models.spec import ModelSpec
from thimble.service.errors import RequestError
from thimble.service.wire.rows import RowReader

PLATFORM = "onnxruntime_onnx"
INPUTS = ("dense", "ids")
OUTPUT = "score"
DATATYPES = {"dense": ("FP32",), "ids": ("INT64", "BYTES")}
BYTES = b'"BYTES"'
_LENGTH = struct.Struct("<I")


class Inference(NamedTuple):
    """A request to score rows. `timeout` is in seconds, None without one; `binary` is how the scores are wanted."""

    batch: Batch
    id: str | None
    timeout: float | None
    binary: bool


class InferenceReader:
    """Reads inference requests for a model."""

    def __init__(self, spec: ModelSpec, rows: RowReader) -> None:
        self._spec = spec
        self._rows = rows
        self._widths = {"dense": len(spec.dense), "ids": len(spec.fields)}

    def read(self, body: bytes, header_length: int | None) -> Inference:
        """`header_length` is the bytes of JSON before the binary tensors. RequestError: 400 or 413."""
        header = len(body) if header_length is None else header_length
        if header > len(body):
            raise RequestError(400, f"Inference-Header-Content-Length is {header}, but the body has {len(body)} bytes")
        if header_length == 0:
            raise RequestError(400, "Inference-Header-Content-Length is 0, but the JSON comes first")
        request = _object(body[:header])
        parameters = _parameters(request, "the request")
        if parameters.get("sequence_id"):
            raise RequestError(400, "sequence_id: this server keeps no sequences")
        name = request.get("id")
        if name is not None and not isinstance(name, str):
            raise RequestError(400, f"id: {shown(name)} is not a string")
        tensors = self._tensors(request.get("inputs"), memoryview(body)[header:])
        rows = {name: tensor.rows for name, tensor in tensors.items()}
        if rows["dense"] != rows["ids"]:
            raise RequestError(400, f"dense has {rows['dense']} rows, ids has {rows['ids']}")
        return Inference(
            Batch(self._read_dense(tensors["dense"]), self._read_ids(tensors["ids"])),
            name,
            _timeout(parameters.get("timeout")),
            _binary_output(request.get("outputs"), parameters.get("binary_data_output", False)),
        )

    def _tensors(self, inputs: Any, binary: memoryview) -> dict[str, "_Tensor"]:
        if not isinstance(inputs, list):
            raise RequestError(400, "inputs: a list of tensors is missing")
        tensors: dict[str, _Tensor] = {}
        for entry in inputs:
            name = entry.get("name") if isinstance(entry, dict) else None
            if name not in INPUTS:
                raise RequestError(400, f"input {shown(name)} is none of the model's: dense and ids")
            if name in tensors:
                raise RequestError(400, f"input {name} is there twice")
            tensor = tensors[name] = self._tensor(name, entry, binary)
            if isinstance(tensor.data, memoryview):
                binary = binary[len(tensor.data) :]
        if missing := [name for name in INPUTS if name not in tensors]:
            raise RequestError(400, f"input {missing[0]} is missing")
        if len(binary):
            raise RequestError(400, f"{len(binary)} bytes of the body belong to no tensor")
        return tensors

    def _tensor(self, name: str, entry: dict[str, Any], binary: memoryview) -> "_Tensor":
        datatype, shape, width = entry.get("datatype"), entry.get("shape"), self._widths[name]
        if datatype not in DATATYPES[name]:
            raise RequestError(400, f"{name}: datatype {shown(datatype)} is not {' or '.join(DATATYPES[name])}")
        if not (isinstance(shape, list) and [*map(type, shape)] == [int, int] and shape[1] == width):
            given = shown(shape) if not isinstance(shape, list) else f"[{', '.join(map(shown, shape[:4]))}]"
            raise RequestError(400, f"{name}: shape {given} is not [rows, {width}]")
        rows = shape[0]
        if rows < 1:
            raise RequestError(400, f"{name}: {shown(rows)} rows; there must be one at least")
        self._rows.check_rows(rows)
        parameters = _parameters(entry, name)
        if "shared_memory_region" in parameters:
            raise RequestError(400, f"{name}: shared memory is not supported")
        size = parameters.get("binary_data_size")
        if size is None:
            return _Tensor(name, datatype, rows, width, _flat(name, entry.get("data"), rows, width))
        if "data" in entry:
            raise RequestError(400, f"{name}: both data and binary_data_size are given")
        if type(size) is not int or not 0 <= size <= len(binary):
            raise RequestError(
                400, f"{name}: binary_data_size {shown(size)}, but {len(binary)} bytes of the body are left"
            )
        wanted = rows * width * (4 if datatype == "FP32" else 8)
        if datatype != "BYTES" and size != wanted:
            raise RequestError(400, f"{name}: binary_data_size {size}, but {rows} x {width} {datatype} are {wanted}")
        return _Tensor(name, datatype, rows, width, binary[:size])

    def _read_dense(self, tensor: "_Tensor") -> Floats:
        if isinstance(tensor.data, memoryview):
            dense: Floats = np.frombuffer(tensor.data, "<f4").reshape(tensor.rows, tensor.width)
            if np.isinf(dense).any():
                row, column = np.argwhere(np.isinf(dense))[0]
                raise RequestError(400, f"dense: {self._spec.dense[column]} is infinite in row {row}")
            return dense
        try:
            return dense_from_values("dense", tensor.data).reshape(tensor.rows, tensor.width)
        except FeatureError as error:
            raise _at(self._spec.dense, error) from None

    def _read_ids(self, tensor: "_Tensor") -> Int64s:
        names = [field.name for field in self._spec.fields]
        if tensor.datatype == "BYTES":
            return self._read_text(tensor)
        if isinstance(tensor.data, memoryview):
            ids: Int64s = np.frombuffer(tensor.data, "<i8").reshape(tensor.rows, tensor.width)
            # a negative id is a huge unsigned one
            if ids.view(np.uint64).max() >= ID_LIMIT:
                row, column = np.argwhere(ids.view(np.uint64) >= ID_LIMIT)[0]
                bad = ids[row, column]
                raise RequestError(400, f"ids: {names[column]} is {bad} in row {row}, not in 0 to 2^60 - 1")
            return ids
        try:
            return ids_from_values("ids", "int", tensor.data).reshape(tensor.rows, tensor.width)
        except FeatureError as error:
            raise _at(names, error) from None

    def _read_text(self, tensor: "_Tensor") -> Int64s:
        tokens = _strings(tensor) if isinstance(tensor.data, memoryview) else tensor.data
        if not all(isinstance(token, str) for token in tokens):
            raise RequestError(400, "ids: data of datatype BYTES must be strings")
        columns = []
        for place, field in enumerate(self._spec.fields):
            try:
                columns.append(ids_from_text(field.name, field.kind, tokens[place :: tensor.width]))
            except FeatureError as error:
                raise RequestError(400, f"ids: {error} (row {error.row})") from None
        return np.stack(columns, axis=1)


class _Tensor(NamedTuple):
    name: str
    datatype: str
    rows: int
    width: int
    data: memoryview | list[Any]


def answer(model: str, version: int, inference: Inference, scores: Floats) -> tuple[bytes, int | None]:
    """The body of an answer and, where scores are binary, the length of the JSON before them."""
    output: dict[str, Any] = {"name": OUTPUT, "datatype": "FP32", "shape": [len(scores)]}
    reply: dict[str, Any] = {"model_name": model, "model_version": str(version), "outputs": [output]}
    if inference.id is not None:
        reply["id"] = inference.id
    if not inference.binary:
        output["data"] = scores
        return orjson.dumps(reply, option=orjson.OPT_SERIALIZE_NUMPY), None
    output["parameters"] = {"binary_data_size": scores.nbytes}
    header = orjson.dumps(reply)
    return header + scores.astype("<f4", copy=False).tobytes(), len(header)


def _object(header: bytes) -> dict[str, Any]:
    if not header.strip():
        raise RequestError(400, "the body is empty")
    try:
        request = orjson.loads(header)
    except orjson.JSONDecodeError as error:
        request = _with_nan(header)
        if request is None:
            raise RequestError(400, f"invalid JSON: {error}") from None
    if not isinstance(request, dict):
        raise RequestError(400, f"the request is {shown(request)}, not an object with inputs")
    return request


def _with_nan(header: bytes) -> Any:
    """JSON with NaN in it, which is none but which Triton's client writes for arrays that hold it; None if not so.

    NaN is read as null, and what else Python's reader lets pass is refused by the stricter one: infinity, half
    characters and integers without end.
    """
    if b"NaN" not in header:
        return None
    try:
        return orjson.loads(json.dumps(json.loads(header, parse_constant={"NaN": None}.__getitem__)))
    except (ValueError, KeyError, RecursionError):
        return None


def _parameters(entry: dict[str, Any], owner: str) -> dict[str, Any]:
    parameters = entry.get("parameters")
    if parameters is not None and not isinstance(parameters, dict):
        raise RequestError(400, f"parameters of {owner}: {shown(parameters)} is not an object")
    return parameters or {}


def _timeout(microseconds: Any) -> float | None:
    if microseconds is None or microseconds == 0:
        return None
    if type(microseconds) is not int or microseconds < 0 or microseconds.bit_length() > 63:
        raise RequestError(400, f"timeout: {shown(microseconds)} is not a number of microseconds")
    return microseconds / 1e6


def _binary_output(outputs: Any, by_default: Any) -> bool:
    if not isinstance(by_default, bool):
        raise RequestError(400, f"binary_data_output: {shown(by_default)} is not true or false")
    if outputs is None or outputs == []:
        return by_default
    if not isinstance(outputs, list) or len(outputs) > 1 or not isinstance(outputs[0], dict):
        raise RequestError(400, f"outputs must be a list of one: {OUTPUT}")
    name, parameters = outputs[0].get("name"), _parameters(outputs[0], OUTPUT)
    if name != OUTPUT:
        raise RequestError(400, f"output {shown(name)} is none of the model's: {OUTPUT}")
    for unsupported in ("classification", "shared_memory_region"):
        if parameters.get(unsupported):
            raise RequestError(400, f"{OUTPUT}: {unsupported} is not supported")
    binary = parameters.get("binary_data", by_default)
    if not isinstance(binary, bool):
        raise RequestError(400, f"{OUTPUT}: binary_data {shown(binary)} is not true or false")
    return binary


def _flat(name: str, data: Any, rows: int, width: int) -> list[Any]:
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


def _strings(tensor: _Tensor) -> list[str]:
    """Texts that have their length in four bytes before them."""
    data, count = bytes(tensor.data), tensor.rows * tensor.width
    texts: list[bytes] = []
    at = 0
    while len(texts) < count and at + _LENGTH.size <= len(data):
        start = at + _LENGTH.size
        at = start + _LENGTH.unpack_from(data, at)[0]
        if at > len(data):
            raise RequestError(400, f"{tensor.name}: element {len(texts)} is longer than what is left of its data")
        texts.append(data[start:at])
    if len(texts) < count or at != len(data):
        raise RequestError(
            400, f"{tensor.name}: its {len(data)} bytes are not the {count} elements that its shape says"
        )
    try:
        return [text.decode() for text in texts]
    except UnicodeDecodeError:
        raise RequestError(400, f"{tensor.name}: its data is not valid UTF-8") from None


def _at(names: Sequence[str], error: FeatureError) -> RequestError:
    row, column = divmod(error.row, len(names))
    return RequestError(400, f"{error.feature}: {names[column]} in row {row}: {error.reason}")
