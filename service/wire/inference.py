"""The Open Inference Protocol (v2) with Triton's binary tensors: inference requests to rows, scores to answers.

Inputs are those of the model's spec: `dense` FP32 [rows, numbers], NaN or null where one is missing, and `ids` INT64
[rows, slots], 0 where one is missing; or `ids` as BYTES, the raw values as text, which are read as the spec says. A
single-valued field has one slot, one with bags as many as they have values; or, as BYTES, one in which a bag is written
with its separators. The output is `score` FP32 [rows], and of a model of several answers one for each. A model without
numbers has no `dense`, one without fields no `ids`.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson

from thimble.models.conversions import shown
from thimble.models.features import Batch, Cuts
from thimble.models.hashing import Floats
from thimble.models.heads import SCORE, columns_of
from thimble.models.inputs import InputTensor
from thimble.models.spec import ModelSpec
from thimble.service.errors import RequestError
from thimble.service.wire.json_text import parsed
from thimble.service.wire.rows import RowReader
from thimble.service.wire.scan import nan_as_null
from thimble.service.wire.tensors import DATATYPES, SentTensor, flat, read, widths

PLATFORM = "onnxruntime_onnx"


class Wanted(NamedTuple):
    """An output, by its place among the model's, and whether its scores are to be binary."""

    place: int
    binary: bool


class Inference(NamedTuple):
    """A request to score rows. `timeout` is in seconds, None without one; `outputs` are what is wanted of them."""

    batch: Batch
    id: str | None
    timeout: float | None
    outputs: Sequence[Wanted]

    @property
    def binary(self) -> bool:
        """Whether any scores are to be binary."""
        return any(wanted.binary for wanted in self.outputs)


class InferenceReader:
    """Reads inference requests for a model."""

    def __init__(self, spec: ModelSpec, rows: RowReader) -> None:
        self._inputs = {tensor.name: tensor for tensor in spec.graph_inputs}
        self._names = " and ".join(self._inputs)
        self._not_sent = [tensor for tensor in spec.inputs if not tensor.features]
        self._order = [tensor.name for tensor in spec.inputs]
        self._rows = rows
        self._outputs = rows.outputs

    def read(self, body: bytes, header_length: int | None) -> Inference:
        """`header_length` is the bytes of JSON before the binary tensors. RequestError: 400 or 413."""
        header = len(body) if header_length is None else header_length
        if header > len(body):
            raise RequestError(400, f"Inference-Header-Content-Length is {header}, but the body has {len(body)} bytes")
        if header_length == 0:
            raise RequestError(400, "Inference-Header-Content-Length is 0, but the JSON comes first")
        text = body[:header]
        self._rows.check_json(text)
        request = _object(text)
        parameters = _parameters(request, "the request")
        if parameters.get("sequence_id"):
            raise RequestError(400, "sequence_id: this server keeps no sequences")
        name = request.get("id")
        if name is not None and not isinstance(name, str):
            raise RequestError(400, f"id: {shown(name)} is not a string")
        tensors = self._tensors(request.get("inputs"), memoryview(body)[header:])
        first, *others = tensors
        for other in others:
            if other.rows != first.rows:
                raise RequestError(
                    400, f"{first.input.name} has {first.rows} rows, {other.input.name} has {other.rows}"
                )
        cuts: Cuts = Counter()
        inference = Inference(
            Batch(*[read(tensor, self._rows.bags, cuts) for tensor in tensors]),
            name,
            _timeout(parameters.get("timeout")),
            self._wanted(request.get("outputs"), parameters.get("binary_data_output", False)),
        )
        self._rows.tell(cuts)
        return inference

    def _wanted(self, outputs: Any, by_default: Any) -> list[Wanted]:
        """All outputs, unless some are named."""
        if not isinstance(by_default, bool):
            raise RequestError(400, f"binary_data_output: {shown(by_default)} is not true or false")
        known = self._outputs.names
        if outputs is None or outputs == []:
            return [Wanted(place, by_default) for place in range(len(known))]
        several = isinstance(outputs, list) and all(isinstance(entry, dict) for entry in outputs)
        if not several or len(outputs) > len(known):
            most = "a list of one:" if len(known) == 1 else f"a list of at most {len(known)}:"
            raise RequestError(400, f"outputs must be {most} {self._outputs.listed}")
        wanted = [Wanted(self._outputs.place(entry.get("name")), _binary(entry, by_default)) for entry in outputs]
        self._outputs.check_different([place for place, _ in wanted])
        return wanted

    def _tensors(self, inputs: Any, binary: memoryview) -> list[SentTensor]:
        """In the order of the model's inputs."""
        if not isinstance(inputs, list):
            raise RequestError(400, "inputs: a list of tensors is missing")
        tensors: dict[str, SentTensor] = {}
        for entry in inputs:
            name = entry.get("name") if isinstance(entry, dict) else None
            if not isinstance(name, str) or name not in self._inputs:
                raise RequestError(400, f"input {shown(name)} is none of the model's: {self._names}")
            if name in tensors:
                raise RequestError(400, f"input {name} is there twice")
            tensor = tensors[name] = self._tensor(self._inputs[name], entry, binary)
            if isinstance(tensor.data, memoryview):
                binary = binary[len(tensor.data) :]
        if missing := [name for name in self._inputs if name not in tensors]:
            raise RequestError(400, f"input {missing[0]} is missing")
        if len(binary):
            raise RequestError(400, f"{len(binary)} bytes of the body belong to no tensor")
        for input_ in self._not_sent:
            rows = next(iter(tensors.values())).rows
            tensors[input_.name] = SentTensor(input_, DATATYPES[input_.dtype][0], rows, 0, [])
        return [tensors[name] for name in self._order]

    def _tensor(self, wanted: InputTensor, entry: dict[str, Any], binary: memoryview) -> SentTensor:
        datatype, shape, name = entry.get("datatype"), entry.get("shape"), wanted.name
        if datatype not in (known := DATATYPES[wanted.dtype]):
            raise RequestError(400, f"{name}: datatype {shown(datatype)} is not {' or '.join(known)}")
        possible = widths(wanted, datatype)
        if not (isinstance(shape, list) and [*map(type, shape)] == [int, int] and shape[1] in possible):
            given = shown(shape) if not isinstance(shape, list) else f"[{', '.join(map(shown, shape[:4]))}]"
            raise RequestError(400, f"{name}: shape {given} is not {' or '.join(f'[rows, {it}]' for it in possible)}")
        rows, width = shape
        if rows < 1:
            raise RequestError(400, f"{name}: {shown(rows)} rows; there must be one at least")
        self._rows.check_rows(rows)
        parameters = _parameters(entry, name)
        if "shared_memory_region" in parameters:
            raise RequestError(400, f"{name}: shared memory is not supported")
        size = parameters.get("binary_data_size")
        if size is None:
            return SentTensor(wanted, datatype, rows, width, flat(name, entry.get("data"), rows, width))
        if "data" in entry:
            raise RequestError(400, f"{name}: both data and binary_data_size are given")
        if type(size) is not int or not 0 <= size <= len(binary):
            raise RequestError(
                400, f"{name}: binary_data_size {shown(size)}, but {len(binary)} bytes of the body are left"
            )
        whole = rows * wanted.row_bytes
        if datatype != "BYTES" and size != whole:
            raise RequestError(400, f"{name}: binary_data_size {size}, but {rows} x {width} {datatype} are {whole}")
        return SentTensor(wanted, datatype, rows, width, binary[:size])


def may_have_texts(header: bytes) -> bool:
    """Whether the bytes behind this JSON may be BYTES, which take long to read. The word may be written in escapes."""
    return b'"BYTES"' in header or b"\\" in header


def answer(
    model: str, version: int, inference: Inference, scores: Floats, names: Sequence[str] = (SCORE,)
) -> tuple[bytes, int | None]:
    """The body of an answer and, where scores are binary, the length of the JSON before them.

    `names` are those of the model's outputs, whose scores are [rows], or of several [rows, outputs].
    """
    columns = columns_of(scores)
    outputs, binary = [], []
    for place, as_bytes in inference.outputs:
        column = np.ascontiguousarray(columns[place])
        output: dict[str, Any] = {"name": names[place], "datatype": "FP32", "shape": [len(scores)]}
        if as_bytes:
            output["parameters"] = {"binary_data_size": column.nbytes}
            binary.append(column.astype("<f4", copy=False).tobytes())
        else:
            output["data"] = column
        outputs.append(output)
    reply: dict[str, Any] = {"model_name": model, "model_version": str(version), "outputs": outputs}
    if inference.id is not None:
        reply["id"] = inference.id
    header = orjson.dumps(reply, option=orjson.OPT_SERIALIZE_NUMPY)
    return b"".join([header, *binary]), len(header) if binary else None


def _object(header: bytes) -> dict[str, Any]:
    if not header.strip():
        raise RequestError(400, "the body is empty")
    request = parsed(nan_as_null(header))
    if not isinstance(request, dict):
        raise RequestError(400, f"the request is {shown(request)}, not an object with inputs")
    return request


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


def _binary(output: dict[str, Any], by_default: bool) -> bool:
    """Whether the scores of an output that is named are to be binary."""
    name = output.get("name")
    parameters = _parameters(output, str(name))
    for unsupported in ("classification", "shared_memory_region"):
        if parameters.get(unsupported):
            raise RequestError(400, f"{name}: {unsupported} is not supported")
    binary = parameters.get("binary_data", by_default)
    if not isinstance(binary, bool):
        raise RequestError(400, f"{name}: binary_data {shown(binary)} is not true or false")
    return binary
