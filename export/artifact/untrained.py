"""Models that have learnt nothing, of any size: what serving costs does not depend on what the weights say.

Full tables are drawn straight into the file of the artifact and used from there, so their size is bounded by the disk.
"""

import math
from functools import partial
from pathlib import Path

import numpy as np
import onnx_ir
import torch
from torch import nn

from thimble.export.artifact.graph import initializer
from thimble.export.artifact.pipeline import Exported, publish
from thimble.export.clicks.generate import GeneratedClicks
from thimble.export.clicks.golden import GOLDEN_ROWS, golden_features
from thimble.export.clicks.rows import Rows
from thimble.models.base import FLOAT_BYTES
from thimble.models.hashing import Floats
from thimble.models.nn.embeddings import FullTables
from thimble.models.nn.recommender import Recommender
from thimble.models.nn.registry import recommender
from thimble.models.schemes import embedding_for
from thimble.models.schemes.full import FullEmbedding
from thimble.models.spec import ModelSpec

# In a table that is made smaller; clicks are generated for no smaller ones.
FEWEST = 3
DRAWN = 1 << 24
"""Floats that are drawn and written at a time."""
# Where a table begins, so that it can be mapped into memory on its own.
ALIGNMENT = 1 << 16


def resized(spec: ModelSpec, rows: int) -> ModelSpec:
    """The same model with full tables of about so many rows in all, each table a share as before."""
    total = sum(field.rows for field in spec.fields)
    share = rows / total
    fields = [f.model_copy(update={"rows": max(round(f.rows * share), min(f.rows, FEWEST))}) for f in spec.fields]
    embedding = spec.embedding
    if isinstance(embedding, FullEmbedding):
        embedding = embedding_for("full", fields, spec.embedding_dim, 0, 1, 0)
    return ModelSpec.model_validate(dict(spec) | {"fields": fields, "embedding": embedding})


def export_untrained(spec: ModelSpec, repository: Path, version: int | None = None, seed: int = 0) -> Exported:
    """Write an untrained model as REPOSITORY/NAME/VERSION/model.onnx, golden rows included.

    The same spec and seed give the same weights. ExportError: the version exists. ClickError: its features are no
    preset's, for which alone there are rows to make golden ones of.
    """
    features = golden_features(spec, Rows(GeneratedClicks(spec, GOLDEN_ROWS, seed), 0, GOLDEN_ROWS))
    torch.manual_seed(seed)
    if not isinstance(spec.embedding, FullEmbedding):
        return publish(spec, recommender(spec).eval(), features, repository, version)
    lengths = spec.embedding.table_rows
    small = spec.embedding.model_copy(update={"table_rows": [1] * len(lengths)})
    dlrm = recommender(spec.model_copy(update={"embedding": small})).eval()
    store = partial(_store_tables, dlrm, lengths, spec.embedding_dim, seed)
    return publish(spec, dlrm, features, repository, version, store=store)


def _store_tables(
    dlrm: Recommender, lengths: list[int], dim: int, seed: int, path: Path
) -> dict[str, onnx_ir.ExternalTensor]:
    """Draw a model's tables into a file and have the model read them from there."""
    assert isinstance(dlrm.sparse_arch, FullTables)
    dlrm.sparse_arch.rows = lengths
    stored = {}
    for f, (rows, offset) in enumerate(_draw_tables(path, lengths, dim, seed)):
        table: Floats = np.memmap(path, np.float32, "r+", offset, (rows, dim))
        dlrm.sparse_arch.tables[f] = nn.Embedding(rows, dim, _weight=torch.from_numpy(table))
        name = f"sparse_arch.tables.{f}.weight"
        stored[name] = onnx_ir.ExternalTensor(
            path.name,
            offset,
            table.nbytes,
            onnx_ir.DataType.FLOAT,
            shape=onnx_ir.Shape(table.shape),
            name=initializer(name),
            base_dir=path.parent,
        )
    return stored


def _draw_tables(path: Path, lengths: list[int], dim: int, seed: int) -> list[tuple[int, int]]:
    """Write tables, Uniform(+-sqrt(1 / rows)) as DLRM draws them, into a file. Rows and offset of each."""
    random = np.random.default_rng(seed)
    spans = []
    with path.open("wb") as file:
        for rows in lengths:
            offset = file.seek(-(-file.tell() // ALIGNMENT) * ALIGNMENT)
            spans.append((rows, offset))
            bound = np.float32(math.sqrt(1 / rows))
            for start in range(0, rows * dim, DRAWN):
                values = random.random(min(DRAWN, rows * dim - start), np.float32)
                file.write(((2 * values - 1) * bound).data)
        assert file.tell() == spans[-1][1] + lengths[-1] * dim * FLOAT_BYTES
    return spans
