"""Models that have learnt nothing, of any size: what serving costs does not depend on what the weights say.

Full tables are drawn straight into the file of the artifact and used from there, so their size is bounded by the disk.
"""

import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import onnx_ir
import torch

from thimble.export.artifact.external import LargeArray, write_arrays
from thimble.export.artifact.pipeline import Exported, publish
from thimble.export.clicks.generate import GeneratedClicks
from thimble.export.clicks.golden import GOLDEN_ROWS, golden_features
from thimble.export.clicks.rows import Rows
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
    dlrm = with_tables_of_a_row(spec).eval()
    store = partial(_store_tables, dlrm, spec, spec.embedding, seed)
    return publish(spec, dlrm, features, repository, version, store=store)


def with_tables_of_a_row(spec: ModelSpec) -> Recommender:
    """The untrained torch module of a spec, with tables that take no memory in place of its embeddings."""
    tables = FullEmbedding(table_rows=[1] * len(spec.fields))
    return recommender(spec.model_copy(update={"embedding": tables}))


def _store_tables(
    dlrm: Recommender, spec: ModelSpec, embedding: FullEmbedding, seed: int, path: Path
) -> dict[str, onnx_ir.ExternalTensor]:
    """Draw a model's tables into a file and have the model read them from there."""
    random = np.random.default_rng(seed)
    dim = spec.embedding_dim
    drawn = (
        LargeArray(f"sparse_arch.tables.{f}.weight", (rows, dim), np.float32, _drawn(rows, dim, random))
        for f, rows in enumerate(embedding.table_rows)
    )
    stored = write_arrays(path, drawn)
    dlrm.sparse_arch = FullTables(spec, embedding, [torch.from_numpy(table.array) for table in stored.values()])
    return {name: table.tensor for name, table in stored.items()}


def _drawn(rows: int, dim: int, random: np.random.Generator) -> Iterator[Floats]:
    """A table, Uniform(+-sqrt(1 / rows)) as DLRM draws them, in parts."""
    bound = np.float32(math.sqrt(1 / rows))
    for start in range(0, rows * dim, DRAWN):
        values = random.random(min(DRAWN, rows * dim - start), np.float32)
        yield (2 * values - 1) * bound
