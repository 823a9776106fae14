"""A student before its first step: what its teacher has learnt, where it is of the same shape."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from thimble.export.clicks.frequent_ids import id_counts
from thimble.export.clicks.rows import Clicks, Rows
from thimble.export.training.errors import RunError
from thimble.export.training.hot_rows import MOST_IDS
from thimble.export.training.intercept import fit_intercept
from thimble.export.training.projection import project
from thimble.models.nn.recommender import Recommender
from thimble.models.nn.shared_memory import SharedMemory
from thimble.models.schemes.base import Weights
from thimble.models.schemes.block import BlockEmbedding
from thimble.models.schemes.full import FullEmbedding
from thimble.models.schemes.indexed import IndexedEmbedding
from thimble.models.spec import ModelSpec

MORE_ROWS = 2
"""As many times the student's rows as a teacher has to have seen for its embeddings to be worth a start.

Students of the teacher's own rows ended worse with such a start (docs/adr/0025-teacher.md).
"""


class Start(NamedTuple):
    """What a student of the same architecture begins with: the teacher's spec, and weights by their torch names.

    `path` is that of the teacher's file, for messages.
    """

    path: Path
    spec: ModelSpec
    weights: Weights

    def has_embeddings_for(self, student: ModelSpec, rows: int) -> bool:
        """Whether the memory of a student of so many rows begins as a projection of the teacher's tables."""
        seen, tables = self.spec.provenance, isinstance(self.spec.embedding, FullEmbedding | IndexedEmbedding)
        if seen is None or not tables or not isinstance(student.embedding, BlockEmbedding):
            return False
        different = seen.rows_trained / max(1, seen.epochs) + sum(run.rows_trained for run in seen.ancestors)
        return different >= MORE_ROWS * rows


@torch.no_grad()
def begin_with_mlps(model: Recommender, start: Start, clicks: Clicks, negatives_kept: float = 1) -> None:
    """Give an untrained student all weights of its teacher but the embeddings, and the base rate of some rows.

    It is that of the full log, of whose negatives the rows hold that share. RunError: a weight is missing.
    """
    for name, parameter in model.named_parameters():
        if name.startswith("sparse_arch."):
            continue
        weights = start.weights.get(name)
        if weights is None or weights.shape != parameter.shape:
            raise RunError(f"{start.path} holds no weights {name} of shape {[*parameter.shape]}")
        parameter.copy_(torch.from_numpy(weights.astype(np.float32)))
    fit_intercept(model, [clicks], negatives_kept)


def begin_with_embeddings(model: Recommender, start: Start, rows: Rows) -> None:
    """Have an untrained student's memory begin as a projection, for which rows to train on are read once."""
    sparse = model.sparse_arch
    assert isinstance(sparse, SharedMemory)
    project(sparse, start.spec, start.weights, id_counts(rows, sparse.bags, MOST_IDS))
