"""Proof that an artifact on disk computes what was trained: torch, ONNX Runtime and plain numpy side by side."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch

from thimble.export.graph import ExportError, with_memory
from thimble.export.train import score
from thimble.models.features import Batch
from thimble.models.hashing import ID_LIMIT, Floats, lookup
from thimble.models.nn.dlrm import DLRM
from thimble.models.nn.embeddings import ONNX_OP
from thimble.models.spec import FullEmbedding, MlpPrecision, ModelSpec

# Largest difference from the same model in float32 (its embeddings rounded as the file's are): above float32, a matter
# of the weights' own rounding, so a bound that only a wrong file exceeds.
TOLERANCE: dict[MlpPrecision, float] = {"fp32": 1e-5, "fp16": 5e-3, "int8": 0.1}


class Agreement(NamedTuple):
    """Largest differences between scores over `rows` rows. The lookups agree bit for bit, or there is none of these."""

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
    """Scores by ONNX Runtime, float32 [rows]."""
    scores: npt.NDArray[np.float32] = session.run(["score"], {"dense": batch.dense, "ids": batch.ids})[0]
    return scores


def inner_session(path: Path, operator: str, *, output: bool) -> onnxruntime.InferenceSession:
    """A session whose one output is the output, or the first input, of the model's first node of a kind."""
    model = onnx.load(path, load_external_data=False)
    node = next(node for node in model.graph.node if node.op_type == operator)
    del model.graph.output[:]
    model.graph.output.add(name=node.output[0] if output else node.input[0])
    return onnx_session(model.SerializeToString(), path.parent)


def prove(path: Path, spec: ModelSpec, dlrm: DLRM, golden: Batch) -> Agreement:
    """Compare lookups and scores on the golden rows and as many random ones. ExportError: they differ.

    Scores of MLPs below float32 are compared on the golden rows alone: their ranges are meant for rows like these.
    """
    batch = _with_random_rows(golden)
    dlrm = with_memory(dlrm, spec.precision.memory)
    weights = {name: tensor.numpy() for name, tensor in dlrm.state_dict().items()}
    if not isinstance(spec.embedding, FullEmbedding):
        looked_up = inner_session(path, ONNX_OP, output=True).run(None, batch._asdict())[0]
        by_numpy = lookup(spec, weights["sparse_arch.memory"].ravel(), batch.ids)
        with torch.inference_mode():
            by_torch = dlrm.sparse_arch(torch.from_numpy(batch.ids)).numpy()
        same = [looked_up.tobytes() == other.tobytes() for other in (by_numpy, by_torch)]
        if not all(same):
            raise ExportError(f"{path}: the lookups of torch, ONNX Runtime and numpy differ; nothing was written")
    if spec.precision.mlps != "fp32":
        batch = golden
    scores = onnx_scores(onnx_session(str(path)), batch)
    agreement = Agreement(
        len(scores),
        float(np.abs(scores - score(dlrm, batch)).max()),
        float(np.abs(scores - numpy_scores(spec, weights, batch)).max()),
    )
    if not max(agreement.torch_onnx, agreement.numpy_onnx) <= TOLERANCE[spec.precision.mlps]:
        raise ExportError(f"{path}: scores of torch, ONNX Runtime and numpy differ: {agreement}; nothing was written")
    return agreement


def numpy_scores(spec: ModelSpec, weights: Mapping[str, npt.NDArray[Any]], batch: Batch) -> Floats:
    """The whole model in numpy, from a DLRM's state dict."""
    dense = np.log(np.maximum(np.where(np.isnan(batch.dense), 0, batch.dense), 0) + 1)
    dense = np.maximum(_mlp(weights, "dense_arch", len(spec.dense_arch), dense), 0)
    if isinstance(spec.embedding, FullEmbedding):
        tables = [weights[f"sparse_arch.tables.{f}.weight"] for f in range(len(spec.fields))]
        sparse = np.stack([table[batch.ids[:, f] % len(table)] for f, table in enumerate(tables)], axis=1)
    else:
        sparse = lookup(spec, weights["sparse_arch.memory"].ravel(), batch.ids)
    together = np.concatenate([dense[:, None], sparse], axis=1)
    rows, columns = np.tril_indices(together.shape[1], -1)
    products = (together @ together.transpose(0, 2, 1))[:, rows, columns]
    logits = _mlp(weights, "over_arch", len(spec.over_arch), np.concatenate([dense, products], axis=1))
    scores: Floats = (1 / (1 + np.exp(-logits[:, 0]))).astype(np.float32)
    return scores


def _mlp(weights: Mapping[str, npt.NDArray[Any]], name: str, layers: int, x: Floats) -> Floats:
    for i in range(layers):
        x = x if i == 0 else np.maximum(x, 0)
        x = x @ weights[f"{name}.{2 * i}.weight"].T + weights[f"{name}.{2 * i}.bias"]
    return x


def _with_random_rows(golden: Batch) -> Batch:
    random = np.random.default_rng(0)
    ids = random.integers(0, ID_LIMIT, golden.ids.shape)
    ids[0], ids[-1] = 0, ID_LIMIT - 1
    dense = random.lognormal(1, 2, golden.dense.shape).astype(np.float32)
    return Batch(np.concatenate([golden.dense, dense]), np.concatenate([golden.ids, ids]))
