"""A trained DLRM to an artifact: one .onnx file that says itself what it is."""

import copy
import logging
import warnings
from collections.abc import Mapping
from importlib.metadata import version

import numpy as np
import onnx
import onnx_ir
import torch

from thimble.export.lookup_function import OPSET, function
from thimble.models.features import Batch
from thimble.models.nn.dlrm import DLRM, Scorer
from thimble.models.spec import METADATA_KEY, FullEmbedding, MemoryPrecision, ModelSpec

# ONNX 1.17's format, the newest that the oldest supported ONNX Runtime (1.21) reads.
IR_VERSION = 10
MODEL_FILE = "model.onnx"
EXTERNAL_DATA = "model.weights"


class ExportError(ValueError):
    """A model that cannot be exported as asked."""


def build(spec: ModelSpec, dlrm: DLRM, stored: Mapping[str, onnx_ir.ExternalTensor] | None = None) -> onnx.ModelProto:
    """The ONNX model of a DLRM: `dense` and `ids` in, `score` out, the spec as metadata.

    `stored` are weights, by their names in the DLRM, that lie in a file already: the model points to them.
    """
    example = Batch(np.zeros((2, len(spec.dense)), np.float32), np.zeros((2, len(spec.fields)), np.int64))
    batch = torch.export.Dim("batch")
    # The exporter warns of its own deprecations and of packages it does without; the user can act on none of it.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            Scorer(with_memory(dlrm, spec.precision.memory)).eval().cpu(),
            tuple(torch.from_numpy(array) for array in example),
            input_names=["dense", "ids"],
            output_names=["score"],
            dynamic_shapes=({0: batch}, {0: batch}),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    for name, tensor in (stored or {}).items():
        program.model.graph.initializers[f"dlrm.{name}"].const_value = tensor
    model: onnx.ModelProto = program.model_proto
    forget_origin(model)
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version = "thimble", version("thimble-ctr")
    if not isinstance(spec.embedding, FullEmbedding):
        model.functions.append(function(spec.embedding))
    describe(model, spec)
    return model


def with_memory(dlrm: DLRM, precision: MemoryPrecision) -> DLRM:
    """The same model, its embeddings at a precision. ExportError: a weight is too large for it."""
    if precision == "fp32":
        return dlrm
    halved = copy.deepcopy(dlrm)
    halved.sparse_arch.half()
    if not all(torch.isfinite(weights).all() for weights in halved.sparse_arch.parameters()):
        raise ExportError("an embedding weight is too large for fp16 (65504); export with --memory-precision fp32")
    return halved


def forget_origin(model: onnx.ModelProto) -> None:
    """Drop what tools noted: stack traces with local paths, and shapes that ONNX Runtime infers anyway."""
    del model.graph.value_info[:]
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")


def describe(model: onnx.ModelProto, spec: ModelSpec) -> None:
    """Write the spec into the model's metadata."""
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {METADATA_KEY: spec.model_dump_json(exclude_none=True)})
