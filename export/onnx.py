"""A trained DLRM to an artifact: one .onnx file that says itself what it is."""

import contextlib
import copy
import logging
import shutil
import tempfile
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import torch

from export.hash_lookup import OPSET, function
from models.dlrm import DLRM, Scorer
from models.features import Batch
from models.spec import METADATA_KEY, FullEmbedding, MemoryPrecision, ModelSpec

# ONNX 1.17's format, the newest that the oldest supported ONNX Runtime (1.21) reads.
IR_VERSION = 10
MODEL_FILE = "model.onnx"
EXTERNAL_DATA = "model.weights"


class ExportError(ValueError):
    """A model that cannot be exported as asked."""


def build(spec: ModelSpec, dlrm: DLRM) -> onnx.ModelProto:
    """The ONNX model of a DLRM: `dense` and `ids` in, `score` out, the spec as metadata."""
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
    model: onnx.ModelProto = program.model_proto
    forget_origin(model)
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version = "thimble", version("thimble")
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


def write(
    model: onnx.ModelProto,
    spec: ModelSpec,
    repository: Path,
    number: int | None,
    check: Callable[[Path], None],
) -> Path:
    """Write REPOSITORY/NAME/VERSION/model.onnx, by default the version after the newest, and return its path.

    The version's folder appears at once, whole and past `check`, so a server that watches the repository never reads
    half a model. ExportError: the version exists.
    """
    family = repository / spec.name
    family.mkdir(parents=True, exist_ok=True)
    if number is None:
        number = max((int(p.name) for p in family.iterdir() if p.name.isdecimal()), default=0) + 1
    target = family / str(number)
    if target.exists():
        raise ExportError(f"{target} exists; a version is never overwritten, choose another --version")
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=family))
    try:
        external = isinstance(spec.embedding, FullEmbedding)
        onnx.save_model(model, partial / MODEL_FILE, save_as_external_data=external, location=EXTERNAL_DATA)
        check(partial / MODEL_FILE)
        partial.chmod(0o755)
        partial.rename(target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        with contextlib.suppress(OSError):
            family.rmdir()  # unless there are other versions
        raise
    return target / MODEL_FILE
