"""Somebody's own torch module as an artifact: whatever it is, it is served like any other model.

It takes `dense`, float32 [batch, numbers] with NaN for a missing number, and `ids`, int64 [batch, slots] with 0 for a
missing id, and gives logits [batch], or of several answers [batch, heads]. A model without numbers, or without fields,
is given a tensor of no columns.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from thimble.export.artifact.graph import ExportError
from thimble.export.artifact.pipeline import Exported, publish
from thimble.export.artifact.replaced import replaced
from thimble.export.clicks.golden import GOLDEN_ROWS, golden_batch
from thimble.models.architectures.own import OwnArchitecture
from thimble.models.features import Batch
from thimble.models.hashing import ID_LIMIT
from thimble.models.heads import Head, Heads
from thimble.models.inputs import Categorical
from thimble.models.nn.recommender import Answering
from thimble.models.nn.shared_memory import SharedMemory
from thimble.models.schemes import Embedding
from thimble.models.schemes.block import BlockEmbedding
from thimble.models.schemes.none import NoEmbedding
from thimble.models.schemes.own import OwnEmbedding
from thimble.models.schemes.robe import RobeEmbedding
from thimble.models.spec import GoldenFeatures, ModelSpec, Precision
from thimble.models.transforms.raw import RawTransform


class _Own(Answering):
    def __init__(self, module: nn.Module, heads: Heads) -> None:
        super().__init__()
        self.module = module
        self.heads = heads

    def forward(self, dense: Tensor, ids: Tensor) -> Any:
        return self.module(dense, ids)


def module_spec(
    name: str,
    module: nn.Module,
    dense: Sequence[str] = (),
    fields: Sequence[Categorical] | None = None,
    precision: Precision | None = None,
    heads: Sequence[Head] = (),
) -> ModelSpec:
    """How a module is described: its features, and what can be seen of it. ValueError says what does not fit.

    `heads` are for one that gives logits [batch, heads], of several answers.

    The fields are those of its shared memory, if it has one, and then need not be given. It is written at the precision
    that this is trained for, unless another one is asked for.
    """
    memory = _memory(module)
    beside = {id(parameter): parameter.numel() for parameter in module.parameters()}
    if memory is not None:
        beside = {known: count for known, count in beside.items() if known not in set(map(id, memory.parameters()))}
    tables = {id(it.weight): it for it in module.modules() if isinstance(it, nn.Embedding | nn.EmbeddingBag)}
    embedding: Embedding = NoEmbedding()
    dim = 1
    if memory is not None:
        assert isinstance(memory.scheme, BlockEmbedding | RobeEmbedding)
        embedding, dim = memory.scheme, memory.dim
        if fields is not None and tuple(fields) != memory.fields:
            raise ValueError("the fields are not those of the module's shared memory; leave them out")
        fields = memory.fields
    elif fields:
        embedding = OwnEmbedding(length=sum(table.weight.numel() for table in tables.values()) or 1)
        dim = max((table.embedding_dim for table in tables.values()), default=1)
    return ModelSpec(
        name=name,
        dense=[*dense],
        dense_transform=RawTransform(),
        fields=[*(fields or ())],
        embedding_dim=dim,
        embedding=embedding,
        architecture=OwnArchitecture(
            module=type(module).__qualname__, parameters=sum(beside.values()), outputs=len(heads) or 1
        ),
        heads=tuple(heads),
        precision=precision or Precision(memory=memory.precision if memory is not None else "fp32"),
    )


def publish_module(
    module: nn.Module, spec: ModelSpec, rows: GoldenFeatures, repository: Path | str, version: int | None = None
) -> Exported:
    """Write a trained module as REPOSITORY/NAME/VERSION/model.onnx, once the file is proven to score as it does.

    `rows` are the columns of some rows as a request has them, a list a feature. The first of them become the golden
    rows, which travel in the file, so do not give what must not be seen; all of them calibrate int8 layers. The module
    stays as it is. ExportError: it cannot be written, or clients could break it. FeatureError: a row is bad.
    """
    _memory(module)
    batch = golden_batch(spec, rows)
    if not batch.rows:
        raise ExportError("there is no row to prove the file with")
    still = _Own(replaced(module, lambda _: None), spec.heads).eval().cpu()
    _check_answers(still, spec, batch)
    golden = {name: column[:GOLDEN_ROWS] for name, column in rows.items()}
    try:
        return publish(spec, still, golden, Path(repository), version, calibration=[batch])
    except torch.onnx.OnnxExporterError as error:
        raise ExportError(f"torch.onnx cannot export the module: {_first_line(error.__cause__ or error)}") from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0]


def _memory(module: nn.Module) -> SharedMemory | None:
    memories = [it for it in module.modules() if isinstance(it, SharedMemory)]
    if len(memories) > 1:
        raise ExportError(f"the module has {len(memories)} shared memories; a file holds one, which all fields share")
    return memories[0] if memories else None


def _check_answers(module: nn.Module, spec: ModelSpec, batch: Batch) -> None:
    """ExportError: the module gives something else than logits, or there are rows for which it has none.

    Clients may send any id, and leave out what they like: a server must have a score for each of these rows.
    """
    nothing = Batch.missing(spec.inputs, 2)
    unseen = Batch(batch.dense[:2], np.full_like(batch.ids[:2], ID_LIMIT - 1))
    for rows, what in (
        (batch, "the rows given"),
        (nothing, "a row in which all values are missing (NaN numbers, ids 0)"),
        (unseen, f"an id that it has never seen ({ID_LIMIT - 1})"),
    ):
        try:
            with torch.inference_mode():
                logits = module(*map(torch.from_numpy, rows))
        except Exception as error:  # whatever the module raises
            raise ExportError(f"the module fails on {what}: {type(error).__name__}: {error}") from error
        wanted = [rows.rows, len(spec.heads)] if spec.heads else [rows.rows]
        given = list(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        if given != wanted:
            raise ExportError(f"the module must give logits {wanted} for {rows.rows} rows, not {given}")
        if not logits.sigmoid().isfinite().all():
            raise ExportError(f"the module gives no number for {what}")
