"""Embeddings in torch: one shared memory, ordinary tables, or none.

They map ids [batch, slots] to float32 [batch, fields, dim], those of bags pooled (`thimble.models.nn.pooling`). Without
bags a field has one slot.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from thimble.models.bags import widths
from thimble.models.nn.indexed import IndexedTable
from thimble.models.nn.pooling import BagPooling
from thimble.models.nn.shared_memory import SharedMemory
from thimble.models.schemes.base import HashedEmbedding
from thimble.models.schemes.full import FullEmbedding
from thimble.models.schemes.indexed import IndexedEmbedding
from thimble.models.schemes.none import NoEmbedding
from thimble.models.spec import ModelSpec


class FullTables(nn.Module):
    """One table a field, indexed by id modulo its length. They are drawn unless there are some.

    `pooling` has what pools each field, and nothing at all where none is a bag.
    """

    def __init__(self, spec: ModelSpec, embedding: FullEmbedding, tables: Sequence[Tensor] = ()) -> None:
        super().__init__()
        self.rows = embedding.table_rows
        self.tables = nn.ModuleList(
            [nn.Embedding(table.shape[0], table.shape[1], sparse=True, _weight=table) for table in tables]
            or [_drawn_table(rows, spec.embedding_dim) for rows in self.rows]
        )
        self.widths = widths(spec.bags)
        self.pooling = nn.ModuleList(BagPooling([bag]) if bag else nn.Identity() for bag in spec.bags if any(spec.bags))

    def forward(self, ids: Tensor) -> Tensor:
        if self.pooling:
            parts = zip(self.pooling, self.tables, torch.split(ids, self.widths, dim=1), strict=True)
            return torch.cat([self._pooled(*part) for part in parts], dim=1)
        columns = [table(ids[:, f] % self.rows[f]) for f, table in enumerate(self.tables)]
        return torch.stack(columns, dim=1).float()

    def _pooled(self, pooling: nn.Module, table: nn.Module, ids: Tensor) -> Tensor:
        """Of one field, [batch, 1, dim]."""
        assert isinstance(table, nn.Embedding)
        if isinstance(pooling, BagPooling):
            return pooling.looked_up(table.weight, lambda given, _: given % table.num_embeddings, ids)
        read: Tensor = table(ids % table.num_embeddings)
        return read.float()


def _drawn_table(rows: int, dim: int) -> nn.Embedding:
    """The same Uniform(+-sqrt(1 / rows)) that DLRM gives its tables."""
    table = nn.Embedding(rows, dim, sparse=True)
    nn.init.uniform_(table.weight, -math.sqrt(1 / rows), math.sqrt(1 / rows))
    return table


class NoEmbeddings(nn.Module):
    """Of a model without fields."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.dim = spec.embedding_dim

    def forward(self, ids: Tensor) -> Tensor:
        return torch.empty(ids.shape[0], 0, self.dim, device=ids.device)


SparseArch = SharedMemory | FullTables | IndexedTable | NoEmbeddings
"""What turns ids [batch, slots] into embeddings [batch, fields, dim]."""


def sparse_arch(spec: ModelSpec) -> SparseArch:
    """The untrained one of a spec."""
    if isinstance(spec.embedding, NoEmbedding):
        return NoEmbeddings(spec)
    if isinstance(spec.embedding, IndexedEmbedding):
        return IndexedTable(spec, spec.embedding)
    if isinstance(spec.embedding, FullEmbedding):
        return FullTables(spec, spec.embedding)
    assert isinstance(spec.embedding, HashedEmbedding)
    return SharedMemory(spec.embedding, spec.fields, spec.embedding_dim, spec.precision.memory)
