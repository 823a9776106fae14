"""A trained model to an artifact: one .onnx file that says itself what it is."""

import contextlib
import copy
import logging
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

import onnx
import onnx_ir
import torch

from thimble.export.lookup_function import OPSET, function
from thimble.export.onnx_modules import for_export
from thimble.models.features import Batch
from thimble.models.nn.recommender import Recommender, Scorer
from thimble.models.schemes.base import HashedEmbedding
from thimble.models.schemes.full import FullEmbedding
from thimble.models.spec import METADATA_KEY, MemoryPrecision, ModelSpec

# ONNX 1.17's format, the newest that the oldest supported ONNX Runtime (1.21) reads.
IR_VERSION = 10
MODEL_FILE = "model.onnx"
EXTERNAL_DATA = "model.weights"


class ExportError(ValueError):
    """A model that cannot be exported as asked."""


def build(
    spec: ModelSpec, dlrm: Recommender, stored: Mapping[str, onnx_ir.ExternalTensor] | None = None
) -> onnx.ModelProto:
    """The ONNX model of a trained one: the spec's inputs in, `score` out, the spec as metadata.

    `stored` are weights, by their names in the torch module, that lie in a file already: the model points to them.
    """
    example = Batch.missing(spec.inputs, 2)
    batch = torch.export.Dim("batch")
    # The exporter warns of its own deprecations and of packages it does without; the user can act on none of it.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            for_export(Scorer(with_memory(dlrm, spec.precision.memory)).eval().cpu()),
            tuple(torch.from_numpy(array) for array in example),
            input_names=[tensor.name for tensor in spec.inputs],
            output_names=["score"],
            dynamic_shapes=tuple({0: batch} for _ in spec.inputs),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    for name, tensor in (stored or {}).items():
        program.model.graph.initializers[initializer(name)].const_value = tensor
    model: onnx.ModelProto = program.model_proto
    forget_origin(model)
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version = "thimble", version("thimble-ctr")
    if isinstance(spec.embedding, HashedEmbedding):
        model.functions.append(function(spec.embedding))
    describe(model, spec)
    return model


def initializer(weight: str) -> str:
    """What a weight of the torch module is called in the graph."""
    return f"dlrm.{weight}"


def with_memory(dlrm: Recommender, precision: MemoryPrecision) -> Recommender:
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
    """Write REPOSITORY/NAME/VERSION/model.onnx once it is past `check`, and return its path. ExportError as below."""
    with new_version(repository, spec.name, number) as (partial, target):
        external = isinstance(spec.embedding, FullEmbedding)
        onnx.save_model(model, partial / MODEL_FILE, save_as_external_data=external, location=EXTERNAL_DATA)
        check(partial / MODEL_FILE)
    return target / MODEL_FILE


@contextlib.contextmanager
def new_version(repository: Path, name: str, number: int | None) -> Iterator[tuple[Path, Path]]:
    """A folder to be filled, and REPOSITORY/NAME/VERSION, by default the version after the newest, which it becomes.

    A version appears at once and whole, so a server that watches the repository never reads half a model.
    ExportError: it exists.
    """
    family = repository / name
    family.mkdir(parents=True, exist_ok=True)
    if number is None:
        number = max((int(p.name) for p in family.iterdir() if p.name.isdecimal()), default=0) + 1
    target = family / str(number)
    if target.exists():
        raise ExportError(f"{target} exists; a version is never overwritten, choose another --version")
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=family))
    try:
        yield partial, target
        partial.chmod(0o755)
        for file in partial.iterdir():
            file.chmod(0o644)  # onnx writes external data for its owner alone, and servers run as somebody else
        partial.rename(target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        with contextlib.suppress(OSError):
            family.rmdir()  # unless there are other versions
        raise
