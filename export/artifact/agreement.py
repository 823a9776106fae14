"""Proof that an artifact on disk computes what was trained: torch, ONNX Runtime and plain numpy side by side."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch

from thimble.export.artifact.graph import ExportError, with_memory
from thimble.export.training.evaluation import score
from thimble.models.architectures.own import OwnArchitecture
from thimble.models.features import Batch
from thimble.models.hashing import ID_LIMIT, Floats
from thimble.models.heads import probabilities, together
from thimble.models.nn.recommender import Answering
from thimble.models.pooling import pooled_lookup
from thimble.models.schemes.base import OP_NAME, HashedEmbedding, Weights
from thimble.models.spec import MlpPrecision, ModelSpec
from thimble.models.transforms import Transform

# Largest difference from the same model in float32 (its embeddings rounded as the file's are): above float32, a matter
# of the weights' own rounding, so a bound that only a wrong file exceeds.
TOLERANCE: dict[MlpPrecision, float] = {"fp32": 1e-5, "fp16": 5e-3, "int8": 0.1}


class Agreement(NamedTuple):
    """Largest differences between scores over `rows` rows. The lookups agree, or there is none of these.

    Of a module of somebody's own there is no reference in numpy, and that difference is NaN.
    """

    rows: int
    torch_onnx: float
    numpy_onnx: float


def onnx_session(model: str | bytes, folder: Path | None = None) -> onnxruntime.InferenceSession:
    """A CPU session that reports errors alone. A model in bytes has its external data, if any, in `folder`."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if folder is not None:
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder.resolve()))
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def onnx_scores(session: onnxruntime.InferenceSession, batch: Batch) -> npt.NDArray[np.float32]:
    """Scores by ONNX Runtime, float32 [rows], or of several answers [rows, heads]."""
    return together(session.run(None, batch.fed()))


def inner_session(path: Path, operator: str, *, output: bool) -> onnxruntime.InferenceSession:
    """A session whose one output is the output, or the first input, of the model's first node of a kind."""
    model = onnx.load(path, load_external_data=False)
    node = next(node for node in model.graph.node if node.op_type == operator)
    del model.graph.output[:]
    model.graph.output.add(name=node.output[0] if output else node.input[0])
    return onnx_session(model.SerializeToString(), path.parent)


def prove(path: Path, spec: ModelSpec, dlrm: Answering, golden: Batch) -> Agreement:
    """Compare lookups and scores on the golden rows and as many random ones. ExportError: they differ.

    Scores of MLPs below float32 are compared on the golden rows alone: their ranges are meant for rows like these. Of a
    module of somebody's own there is nothing in numpy, and it may take no other rows.
    """
    if isinstance(spec.architecture, OwnArchitecture):
        return _prove_own(path, spec, with_memory(dlrm, spec.precision.memory), golden)
    batch = _with_random_rows(golden, spec.dense_transform)
    dlrm = with_memory(dlrm, spec.precision.memory)
    weights = {name: tensor.numpy() for name, tensor in dlrm.state_dict().items()}
    if isinstance(spec.embedding, HashedEmbedding):
        looked_up = inner_session(path, OP_NAME, output=True).run(None, batch.fed())[0]
        by_numpy = numpy_embeddings(spec, weights, batch)
        with torch.inference_mode():
            by_torch = dlrm.get_submodule("sparse_arch")(torch.from_numpy(batch.ids)).numpy()
        rounding = sum_rounding(spec, largest_weight(weights))
        if not all(lookups_agree(looked_up, other, rounding) for other in (by_numpy, by_torch)):
            raise ExportError(f"{path}: the lookups of torch, ONNX Runtime and numpy differ; nothing was written")
    if spec.precision.mlps != "fp32":
        batch = golden
    scores = onnx_scores(onnx_session(str(path)), batch)
    return _checked(
        path,
        spec,
        Agreement(
            len(scores),
            float(np.abs(scores - score(dlrm, batch)).max()),
            float(np.abs(scores - numpy_scores(spec, weights, batch)).max()),
        ),
    )


def _prove_own(path: Path, spec: ModelSpec, module: Answering, golden: Batch) -> Agreement:
    scores = onnx_scores(onnx_session(str(path)), golden)
    return _checked(path, spec, Agreement(len(scores), float(np.abs(scores - score(module, golden)).max()), np.nan))


def _checked(path: Path, spec: ModelSpec, agreement: Agreement) -> Agreement:
    compared = [agreement.torch_onnx]
    if not isinstance(spec.architecture, OwnArchitecture):
        compared.append(agreement.numpy_onnx)
    if not all(difference <= TOLERANCE[spec.precision.mlps] for difference in compared):
        raise ExportError(f"{path}: scores of torch, ONNX Runtime and numpy differ: {agreement}; nothing was written")
    return agreement


def lookups_agree(one: Floats, other: Floats, rounding: Floats) -> bool:
    """Whether embeddings [rows, fields, dim] are the same, every bit of those of fields that have no `rounding`."""
    exact = rounding == 0
    if one.shape != other.shape or one[:, exact].tobytes() != other[:, exact].tobytes():
        return False
    return bool((np.abs(one - other) <= rounding[:, None])[:, ~exact].all())


def sum_rounding(spec: ModelSpec, largest: float) -> Floats:
    """Of each field, how far embeddings may lie apart because their ids were added up in another order; mostly 0.

    Adding n float32 numbers up rounds off at most (n - 1) * 2^-24 times the sum of their magnitudes, in whatever order,
    as long as n is far below 2^24 (Higham, Accuracy and Stability of Numerical Algorithms, 4.2). Here no number exceeds
    `largest`, two sums are compared, and a mean is rounded once more.
    """
    summed = np.array([bag.values if bag and bag.pooling != "max" else 1 for bag in spec.bags])
    mean = np.array([bag is not None and bag.pooling == "mean" for bag in spec.bags])
    apart: Floats = np.where(summed > 1, summed * largest * 2.0**-23 * np.where(mean, 1, summed), 0).astype(np.float32)
    return apart


def largest_weight(weights: Weights) -> float:
    """The magnitude that no embedding weight of a torch module's state dict exceeds."""
    memory = weights["sparse_arch.memory"]
    if memory.dtype == np.uint8:
        return float(weights["sparse_arch.step"]) * 128
    return float(np.abs(memory).max())


def numpy_scores(spec: ModelSpec, weights: Weights, batch: Batch) -> Floats:
    """The whole model in numpy, from its torch module's state dict."""
    assert not isinstance(spec.architecture, OwnArchitecture)
    tensors = batch._asdict() | {"dense": spec.dense_transform.apply(batch.dense)}
    logits = spec.architecture.logits(weights, tensors, numpy_embeddings(spec, weights, batch))
    return probabilities(logits, spec.heads).astype(np.float32)


def numpy_embeddings(spec: ModelSpec, weights: Weights, batch: Batch) -> Floats:
    """The embeddings [rows, fields, dim] in numpy, from the torch module's state dict."""
    part = "sparse_arch."
    own = {name.removeprefix(part): array for name, array in weights.items() if name.startswith(part)}
    return pooled_lookup(spec.embedding, own, batch.ids, spec.embedding_dim, spec.bags)


def _with_random_rows(golden: Batch, transform: Transform) -> Batch:
    random = np.random.default_rng(0)
    ids = random.integers(0, ID_LIMIT, golden.ids.shape)
    ids[0], ids[-1] = 0, ID_LIMIT - 1
    dense = random.lognormal(1, 2, golden.dense.shape) * random.choice((-1, 1), golden.dense.shape)
    dense[random.random(dense.shape) < 0.1] = np.nan
    ids[1::2] *= random.random(ids[1::2].shape) < 0.7  # bags that are not full
    return Batch.joined([golden, Batch(transform.suited(dense.astype(np.float32)), ids)])
