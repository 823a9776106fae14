"""A trained model to an artifact: one .onnx file that says itself what it is."""

import copy
import logging
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from typing import TypeVar

import numpy as np
import onnx
import onnx_ir
import torch
from torch import nn

from thimble.export.artifact.lookup_function import OPSET, function
from thimble.export.artifact.onnx_modules import for_export
from thimble.export.artifact.output_names import name_outputs
from thimble.export.artifact.replaced import replaced
from thimble.export.training.best_step import best_step
from thimble.models.features import Batch
from thimble.models.hashing import Floats
from thimble.models.heads import SCORE
from thimble.models.nn.embeddings import FullTables
from thimble.models.nn.indexed import IndexedTable
from thimble.models.nn.recommender import Answering, Scorer
from thimble.models.nn.shared_memory import SharedMemory
from thimble.models.quantization import BITS, MemoryPrecision, is_quantized
from thimble.models.schemes.base import OP_NAME, HashedEmbedding
from thimble.models.spec import METADATA_KEY, ModelSpec

# ONNX 1.17's format, the newest that the oldest supported ONNX Runtime (1.21) reads.
IR_VERSION = 10
MODEL_FILE = "model.onnx"
EXTERNAL_DATA = "model.weights"
# What outputs are called until the values inside are known.
_OUTPUT = "thimble.output."


Module = TypeVar("Module", bound=nn.Module)


class ExportError(ValueError):
    """A model that cannot be exported as asked."""


def build(
    spec: ModelSpec, dlrm: Answering, stored: Mapping[str, onnx_ir.ExternalTensor] | None = None
) -> onnx.ModelProto:
    """The ONNX model of a trained one: the spec's inputs that have features in, its outputs out, the spec as metadata.

    `stored` are weights, by their names in the torch module, that lie in a file already: the model points to them.
    """
    example = Batch.missing(spec.inputs, 2).fed()
    batch = torch.export.Dim("batch")
    # The exporter warns of its own deprecations and of packages it does without; the user can act on none of it.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            for_export(Scorer(with_memory(dlrm, spec.precision.memory)).eval().cpu()),
            kwargs={name: torch.from_numpy(array) for name, array in example.items()},
            input_names=list(example),
            output_names=[f"{_OUTPUT}{place}" for place in range(len(spec.heads))] or [SCORE],
            dynamic_shapes={name: {0: batch} for name in example},
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    for name, tensor in (stored or {}).items():
        program.model.graph.initializers[initializer(name)].const_value = tensor
    model: onnx.ModelProto = program.model_proto
    if spec.heads:
        name_outputs(model.graph, spec.outputs)
    forget_origin(model)
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version = "thimble", version("thimble-ctr")
    if isinstance(spec.embedding, HashedEmbedding):
        bits = BITS[spec.precision.memory] if is_quantized(spec.precision.memory) else None
        bags = spec.bags if _pooled(model.graph) else ()
        model.functions.append(function(spec.embedding, bits, bags))
    describe(model, spec)
    return model


def _pooled(graph: onnx.GraphProto) -> bool:
    """Whether lookups pool bags. ExportError: some do and some do not, and a file has one function for all of them."""
    found = {any(it.name == "values" for it in node.attribute) for node in graph.node if node.op_type == OP_NAME}
    if len(found) > 1:
        raise ExportError(
            "the module reads its shared memory in two ways; take all fields at once, or each by its embedding"
        )
    return found == {True}


def written_by() -> str:
    """This program and its version, as files name it."""
    return f"thimble {version('thimble-ctr')}"


def initializer(weight: str) -> str:
    """What a weight of the torch module is called in the graph."""
    return f"dlrm.{weight}"


def with_memory(dlrm: Module, precision: MemoryPrecision) -> Module:
    """The same model, its embeddings at a precision. ExportError: a weight or a step does not fit it.

    What was trained in float32 gets the step that changes it least.
    """
    if precision == "fp32":
        return dlrm
    lowered = _quantized if is_quantized(precision) else _halved
    found = replaced(dlrm, lambda module: lowered(module, precision))
    assert isinstance(found, type(dlrm))
    return found


def _quantized(arch: nn.Module, precision: MemoryPrecision) -> nn.Module | None:
    if not isinstance(arch, SharedMemory):
        return None
    weights: Floats = arch.memory.numpy(force=True)
    if not np.isfinite(weights).all():
        raise ExportError("an embedding weight is no finite number; export with --memory-precision fp32")
    bits = BITS[precision]
    step = arch.quantizer.step.item() if arch.quantizer else best_step(weights, bits)
    if not (np.isfinite(step) and step > 0):
        raise ExportError(
            f"the embeddings' step is {step}, and a step is a finite number above 0; train again, at a lower rate"
        )
    rounded = copy.deepcopy(arch)
    rounded.quantize(step, bits)
    return rounded


def _halved(arch: nn.Module, precision: MemoryPrecision) -> nn.Module | None:
    if not isinstance(arch, SharedMemory | FullTables | IndexedTable):
        return None
    halved = copy.deepcopy(arch).half()
    if not all(torch.isfinite(weights).all() for weights in halved.parameters()):
        raise ExportError(
            f"an embedding weight is too large for {precision} (65504); export with --memory-precision fp32"
        )
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
