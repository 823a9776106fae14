"""Reads an artifact from disk and refuses, in one sentence, whatever is not a whole and harmless model of ours.

The golden rows are the last check; they need a session, so `thimble.service.engine.engine` makes it.
"""

import errno
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnx
from google.protobuf.message import DecodeError, Message
from onnx import TensorProto
from onnx.helper import np_dtype_to_tensor_dtype

from thimble.models.files import read_file
from thimble.models.schemes.base import OP_DOMAIN, OP_NAME
from thimble.models.spec import METADATA_KEY, ModelSpec, SpecError, parse_spec
from thimble.service.engine.external import ExternalData, ExternalDataError
from thimble.service.errors import UnavailableError, passing

STANDARD_DOMAINS = ("", "ai.onnx")
NEWEST_OPSET = onnx.defs.onnx_opset_version()
Found = TypeVar("Found", bound=Message)
Signature = tuple[int, list[int | None]]
"""Element type and dimensions, None for the batch."""


class ArtifactError(ValueError):
    """Why a file is refused."""


@dataclass(frozen=True)
class Artifact:
    """A verified file: where it lies, its bytes, what it says of itself, and the files with the rest of its weights."""

    path: Path
    content: bytes
    spec: ModelSpec
    external: Mapping[str, ExternalData]

    def check_mapped(self) -> None:
        """ArtifactError: what can have been mapped of its external data is not what was verified."""
        for data in self.external.values():
            try:
                data.check_mapped()
            except ExternalDataError as error:
                raise ArtifactError(f"{self.path}: {error}") from None
            except OSError as error:
                raise unreadable(self.path, error) from None


def read_artifact(path: Path, max_bytes: int) -> Artifact:
    """Read and verify all that can be verified without running the model.

    ArtifactError says why not. UnavailableError: that cannot be told now.
    """
    content = read_content(path, max_bytes)
    try:
        model = _parsed(content)
        spec = _spec(model)
        _check_interface(model.graph, spec)
        _check_operators(model)
        external = [tensor for tensor in _within(model, TensorProto) if tensor.data_location == TensorProto.EXTERNAL]
        names = sorted({_external_name(tensor, path.parent) for tensor in external})
        return Artifact(path, content, spec, {name: _external_data(path.with_name(name), spec) for name in names})
    except (ArtifactError, ExternalDataError) as error:
        raise ArtifactError(f"{path}: {error}") from None
    except OSError as error:
        raise unreadable(path, error) from None


def read_content(path: Path, max_bytes: int) -> bytes:
    """The bytes of a file.

    ArtifactError: it cannot be read, is no file, or is larger than allowed. UnavailableError: it cannot be read now.
    """
    try:
        return read_file(path, max_bytes)
    except OSError as error:
        raise unreadable(path, error) from None


def unreadable(path: Path, error: OSError) -> ArtifactError | UnavailableError:
    if passing(error):
        return UnavailableError(f"{path}: {error.strerror}")
    limit = " (max_model_bytes)" if error.errno == errno.EFBIG else ""
    return ArtifactError(f"{path}: {error.strerror}{limit}")


def _parsed(content: bytes) -> onnx.ModelProto:
    try:
        model: onnx.ModelProto = onnx.ModelProto.FromString(content)
    except DecodeError:
        raise ArtifactError("truncated, or not an ONNX file") from None
    if not model.HasField("graph"):
        raise ArtifactError("truncated, or not an ONNX file: it has no graph")
    return model


def _spec(model: onnx.ModelProto) -> ModelSpec:
    described = {prop.key: prop.value for prop in model.metadata_props}
    if METADATA_KEY not in described:
        raise ArtifactError(f"an ONNX file, but not a Thimble artifact: it has no {METADATA_KEY!r} metadata")
    try:
        spec = parse_spec(described[METADATA_KEY])
    except SpecError as error:
        raise ArtifactError(f"{METADATA_KEY} metadata: {error}") from None
    if spec.golden is None:
        raise ArtifactError("it has no golden rows, so nothing shows that it scores as it should")
    return spec


def _check_interface(graph: onnx.GraphProto, spec: ModelSpec) -> None:
    weights = {tensor.name for tensor in graph.initializer}
    inputs = {value.name: _signature(value) for value in graph.input if value.name not in weights}
    outputs = {value.name: _signature(value) for value in graph.output}
    wanted: dict[str, Signature] = {
        tensor.name: (np_dtype_to_tensor_dtype(np.dtype(tensor.dtype)), [None, tensor.width])
        for tensor in spec.graph_inputs
    }
    if inputs != wanted:
        raise ArtifactError(f"its inputs are {_listed(inputs)}, but its spec asks for {_listed(wanted)}")
    answers: dict[str, Signature] = {name: (TensorProto.FLOAT, [None]) for name in spec.outputs}
    if outputs != answers:
        raise ArtifactError(f"its outputs are {_listed(outputs)}, but must be {_listed(answers)}")


def _signature(value: onnx.ValueInfoProto) -> Signature:
    tensor = value.type.tensor_type
    return tensor.elem_type, [d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim]


def _listed(values: Mapping[str, Signature]) -> str:
    shown = [
        f"{name} {TensorProto.DataType.Name(kind)} [{', '.join('batch' if d is None else str(d) for d in dims)}]"
        for name, (kind, dims) in values.items()
    ]
    return " and ".join(shown) or "none"


def _check_operators(model: onnx.ModelProto) -> None:
    for opset in model.opset_import:
        if opset.domain in STANDARD_DOMAINS and opset.version > NEWEST_OPSET:
            raise ArtifactError(f"ONNX opset {opset.version} is newer than this program knows ({NEWEST_OPSET})")
    defined = [(body.domain, body.name) for body in model.functions]
    if any(name != (OP_DOMAIN, OP_NAME) for name in defined) or len(defined) > 1:
        raise ArtifactError(f"it defines functions of its own besides {OP_DOMAIN}::{OP_NAME}")
    for node in _within(model.graph, onnx.NodeProto):
        ours = (node.domain, node.op_type) == (OP_DOMAIN, OP_NAME)
        if node.domain not in STANDARD_DOMAINS and not (ours and defined):
            raise ArtifactError(f"operator {node.domain}::{node.op_type} is neither standard ONNX nor {OP_NAME}")
    for body in model.functions:
        for node in _within(body, onnx.NodeProto):
            if node.domain not in STANDARD_DOMAINS:
                raise ArtifactError(f"operator {node.domain}::{node.op_type} inside {OP_NAME} is not standard ONNX")


def _within(message: Message, kind: type[Found]) -> Iterator[Found]:
    """Every message of a kind, wherever in the file it hides: in attributes, functions, graphs within graphs."""
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in [value] if isinstance(value, Message) else value:
                if isinstance(inner, kind):
                    yield inner
                if not isinstance(inner, TensorProto):  # it holds neither, and to list its fields copies its data
                    yield from _within(inner, kind)


def _external_name(tensor: TensorProto, folder: Path) -> str:
    """The file with a tensor's data. It lies beside the model's own: other folders are not looked at for changes."""
    entry = {pair.key: pair.value for pair in tensor.external_data}
    location = entry.get("location", "")
    target = folder / location
    outside = f"external data of {tensor.name!r} lies outside the file's folder: {location!r}"
    if not location or location != target.name:
        raise ArtifactError(outside)
    if not target.is_file():
        raise ArtifactError(f"external data of {tensor.name!r} is missing: {location!r}")
    if not target.resolve().is_relative_to(folder.resolve()):
        raise ArtifactError(outside)
    try:
        end = int(entry.get("offset", 0)) + int(entry.get("length", 0))
    except ValueError:
        raise ArtifactError(f"external data of {tensor.name!r} has an offset or length that is no number") from None
    if end > target.stat().st_size:
        raise ArtifactError(f"external data of {tensor.name!r} is truncated: {location!r} ends before byte {end}")
    return location


def _external_data(path: Path, spec: ModelSpec) -> ExternalData:
    exported = (spec.external_data or {}).get(path.name)
    if exported is None:
        raise ArtifactError(f"nothing in it proves its external data {path.name!r}; export it again")
    return ExternalData(path, exported)
