"""MLPs at less than float32, in standard ONNX operators.

`fp16` halves what the weights weigh; they are cast back once, when a session is made, and computed with in float32.

`int8` computes the inner layers, which are nearly all of the work, in integers (`docs/adr/0005-precision.md` has the
trials behind each choice); the architecture says which ones stay in float32. Activations are unsigned, with a range
fixed beforehand from training rows, so a row's score does not depend on the rows beside it; they are rounded only where
an inner layer reads them. Weights have one scale a layer and take 7 of the 8 bits, with which no pair of products
overflows the 16-bit sums of processors without VNNI:
2 * 255 * 64 < 2^15.
"""

import logging
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

from thimble.export.artifact.even_columns import even_columns
from thimble.export.artifact.graph import ExportError, forget_origin, initializer
from thimble.models.features import Batch
from thimble.models.spec import ModelSpec

CALIBRATION_ROWS = 131_072
SAMPLE_BATCHES = 16
"""Of the calibration's, that say how large columns are."""
INT8: dict[str, Any] = {
    "op_types_to_quantize": ["Gemm"],
    "activation_type": QuantType.QUInt8,
    "weight_type": QuantType.QInt8,
    "reduce_range": True,
    "extra_options": {"OpTypesToExcludeOutputQuantization": ["Gemm"]},
}
"""The quantizer's options. A layer's output is rounded as the next one's input, behind the ReLU, or not at all."""


def lower_mlps(model: onnx.ModelProto, spec: ModelSpec, calibration: Iterable[Batch]) -> onnx.ModelProto:
    """The model with its MLPs at the spec's precision. ExportError: it can't.

    `calibration` are rows as they will be scored.
    """
    match spec.precision.mlps:
        case "fp16":
            _halve(model.graph)
        case "int8":
            model = _quantize(model, spec.architecture.float_layers, calibration)
    return model


def _halve(graph: onnx.GraphProto) -> None:
    """Weights to fp16, each with a Cast behind it. Biases are too few to matter."""
    weights = {node.input[1] for node in _layers(graph)}
    casts = []
    for tensor in graph.initializer:
        if tensor.name not in weights:
            continue
        name = tensor.name
        with np.errstate(over="ignore"):
            half = onnx.numpy_helper.to_array(tensor).astype(np.float16)
        if not np.isfinite(half).all():
            raise ExportError(f"a weight of {name} is too large for fp16 (65504); export with --precision fp32")
        tensor.CopyFrom(onnx.numpy_helper.from_array(half, f"{name}.fp16"))
        casts.append(
            onnx.helper.make_node("Cast", [tensor.name], [name], name=f"{name}.cast", to=onnx.TensorProto.FLOAT)
        )
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _quantize(model: onnx.ModelProto, floats: Set[str], calibration: Iterable[Batch]) -> onnx.ModelProto:
    """`floats` names the layers that stay in float32."""
    kept = {initializer(f"{name}.weight") for name in floats}
    inner = [node for node in _layers(model.graph) if node.input[1] not in kept]
    if not inner:
        raise ExportError("int8 is for the layers between the first and the last, and this model has none; use fp16")
    keep_fusable(model.graph, inner)
    batches = iter(calibration)
    sample = list(islice(batches, SAMPLE_BATCHES))
    with tempfile.TemporaryDirectory() as folder, quiet():
        even_columns(model, inner, sample, Path(folder))
        path = Path(folder) / "model.onnx"
        quantize_static(
            model,
            path,
            Calibration(chain(sample, batches)),
            nodes_to_quantize=[node.name for node in inner],
            use_external_data_format=model.ByteSize() >= onnx.checker.MAXIMUM_PROTOBUF,
            **INT8,
        )
        quantized = onnx.load(path)
    exact_elsewhere(quantized.graph)
    forget_origin(quantized)
    return quantized


def keep_fusable(graph: onnx.GraphProto, inner: Sequence[onnx.NodeProto]) -> None:
    """Write a ReLU between an integer layer and floats as ThresholdedRelu, which is the same.

    ONNX Runtime computes a layer in float if a lone Relu behind it is not followed by QuantizeLinear.
    """
    read, written = {node.input[0] for node in inner}, {node.output[0] for node in inner}
    for node in graph.node:
        if node.op_type == "Relu" and node.input[0] in written and node.output[0] not in read:
            node.op_type = "ThresholdedRelu"
            node.attribute.append(onnx.helper.make_attribute("alpha", 0.0))


def exact_elsewhere(graph: onnx.GraphProto) -> None:
    """Have all but the layers read activations as they were before they were rounded for a layer.

    The quantizer has everybody read them rounded, also what multiplies and adds a cross layer's inputs.
    """
    sources = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "QuantizeLinear"}
    rounded = {
        node.output[0]: sources[node.input[0]]
        for node in graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in sources
    }
    for node in graph.node:
        if node.op_type != "Gemm":
            node.input[:] = [rounded.get(name, name) for name in node.input]


def _layers(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The MLPs' linear layers, in order."""
    return [node for node in graph.node if node.op_type == "Gemm"]


class Calibration(CalibrationDataReader):  # type: ignore[misc]
    """Batches as the quantizer reads them."""

    def __init__(self, batches: Iterable[Batch]) -> None:
        self.batches = iter(batches)

    def get_next(self) -> Mapping[str, object] | None:
        batch = next(self.batches, None)
        return None if batch is None else batch.fed()


@contextmanager
def quiet() -> Iterator[None]:
    """The quantizer gives advice through the root logger; the user can act on none of it."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
