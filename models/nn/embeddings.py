"""Embeddings in torch: one shared memory, ordinary tables, or none.

They map ids [batch, slots] to float32 [batch, fields, dim], those of bags pooled (`thimble.models.nn.pooling`). Without
bags a field has one slot.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from thimble.models.bags import widths
from thimble.models.hashing import Floats
from thimble.models.nn.hashing import hashes, of_fields
from thimble.models.nn.hot_rows import HotSlots
from thimble.models.nn.indexed import IndexedTable
from thimble.models.nn.pooling import BagPooling, Reads
from thimble.models.nn.quantization import Quantizer, dequantized
from thimble.models.nn.touched_rows import touched_rows
from thimble.models.quantization import BITS, is_quantized, quantize
from thimble.models.schemes.base import HashedEmbedding
from thimble.models.schemes.block import BlockEmbedding
from thimble.models.schemes.full import FullEmbedding
from thimble.models.schemes.indexed import IndexedEmbedding
from thimble.models.schemes.none import NoEmbedding
from thimble.models.spec import ModelSpec


class SharedMemory(nn.Module):
    """One trainable array that every field reads in chunks at hashed places (`thimble.models.hashing`).

    With `sparse_gradients` the array's gradient is sparse and holds only what a batch touched; chunks must be rows.
    """

    memory: Tensor
    constants: Tensor
    step: Tensor

    def __init__(self, spec: ModelSpec, embedding: HashedEmbedding) -> None:
        super().__init__()
        self.map = embedding.hash_map(spec.embedding_dim)
        self.embedding = embedding
        self.dim = spec.embedding_dim
        self.bags = spec.bags
        self.pooling = BagPooling(spec.bags) if any(spec.bags) else None
        self.sparse_gradients = False
        self.bits: int | None = None
        # Uniform(+-sqrt(1 / max rows)) is the authors' initialisation of the array.
        bound = math.sqrt(1 / max(field.rows for field in spec.fields))
        self.memory = nn.Parameter(torch.empty(embedding.memory_shape).uniform_(-bound, bound))
        self.register_buffer("constants", torch.from_numpy(self.map.constants))
        precision = spec.precision.memory
        self.quantizer = Quantizer(BITS[precision]) if is_quantized(precision) else None
        self.hot: HotSlots | None = None
        if isinstance(embedding, BlockEmbedding) and embedding.hot:
            self.hot = HotSlots(embedding.hot, self.map.slots, self.constants.shape[2])

    def hashed_slots(self, ids: Tensor, fields: Tensor | None = None) -> Tensor:
        """ids [batch, fields] -> where chunks of ids without a hot row lie, [batch, fields, chunks].

        They may be in other columns than one a field, if `fields` says whose these are.
        """
        return hashes(ids, of_fields(self.constants, fields), self.map.prime) % self.map.slots

    def _slots(self, ids: Tensor, fields: Tensor | None = None) -> Tensor:
        """The same for all ids."""
        slots = self.hashed_slots(ids, fields)
        return self.hot(ids, slots, fields) if self.hot else slots

    def forward(self, ids: Tensor) -> Tensor:
        if self.pooling:
            present = self.pooling.present(ids)
            reads = Reads.of(self._slots(present.ids.unsqueeze(0), present.fields)[0].t(), len(self.memory))
            pooled: Tensor = self.pooling(self._chunks(reads.touched), reads, present)
            return pooled[..., : self.dim]
        slots = self._slots(ids)
        width = slots.shape[2] * self.embedding.chunk_size
        if self.memory.dim() == 1:  # a chunk starts anywhere, else it is a row
            slots = slots.unsqueeze(-1) + torch.arange(self.embedding.chunk_size, device=ids.device)
        joined = self._read(slots.flatten()).view(*ids.shape, width)
        return joined[..., : self.dim].float()

    def _read(self, slots: Tensor) -> Tensor:
        """[n] -> their weights [n, width]. What several ids read is rounded, and its gradient added up, once."""
        if self.bits:
            return dequantized(self.memory.index_select(0, slots), self.step, self.bits)
        if not (self.sparse_gradients or self.quantizer):
            # index_select's dense backward is several times faster than an embedding's on CPU
            return self.memory.index_select(0, slots)
        touched, read = slots.unique(return_inverse=True)  # type: ignore[no-untyped-call]
        return self._rows(touched).index_select(0, read)

    def _rows(self, touched: Tensor) -> Tensor:
        """Different rows that are trained, [n] -> [n, width]."""
        weights = touched_rows(self.memory, touched) if self.sparse_gradients else self.memory.index_select(0, touched)
        return self.quantizer(weights) if self.quantizer else weights

    def _chunks(self, slots: Tensor) -> Tensor:
        """Different chunks, by their places in ascending order, [n] -> float32 [n, chunk]."""
        if self.bits:
            return dequantized(self.memory.index_select(0, slots), self.step, self.bits)
        if self.memory.dim() == 1:
            within = torch.arange(self.embedding.chunk_size, device=slots.device)
            return self.memory.index_select(0, (slots.unsqueeze(1) + within).flatten()).view(-1, len(within)).float()
        return self._rows(slots).float()

    def quantize(self, step: float, bits: int) -> None:
        """Hold the weights as a file does, in integers, which are trained no more."""
        weights: Floats = self.memory.numpy(force=True)
        del self.memory
        self.register_buffer("memory", torch.from_numpy(quantize(weights, np.float32(step), bits)))
        self.register_buffer("step", torch.tensor(step, dtype=torch.float32))
        self.bits, self.quantizer = bits, None


class FullTables(nn.Module):
    """One table a field, indexed by id modulo its length. They are drawn unless there are some.

    `pooling` has what pools each field, and nothing where there are no bags.
    """

    def __init__(self, spec: ModelSpec, embedding: FullEmbedding, tables: Sequence[Tensor] = ()) -> None:
        super().__init__()
        self.rows = embedding.table_rows
        self.tables = nn.ModuleList(
            [nn.Embedding(table.shape[0], table.shape[1], sparse=True, _weight=table) for table in tables]
            or [_drawn_table(rows, spec.embedding_dim) for rows in self.rows]
        )
        self.widths = widths(spec.bags)
        self.pooling = nn.ModuleList(BagPooling([bag]) for bag in spec.bags if any(spec.bags))

    def forward(self, ids: Tensor) -> Tensor:
        if self.pooling:
            parts = zip(self.pooling, self.tables, torch.split(ids, self.widths, dim=1), strict=True)
            return torch.cat([self._pooled(*part) for part in parts], dim=1)
        columns = [table(ids[:, f] % self.rows[f]) for f, table in enumerate(self.tables)]
        return torch.stack(columns, dim=1).float()

    def _pooled(self, pooling: nn.Module, table: nn.Module, ids: Tensor) -> Tensor:
        """Of one field, [batch, 1, dim]."""
        assert isinstance(pooling, BagPooling) and isinstance(table, nn.Embedding)
        present = pooling.present(ids)
        reads = Reads.of((present.ids % table.num_embeddings).unsqueeze(0), table.num_embeddings)
        pooled: Tensor = pooling(touched_rows(table.weight, reads.touched).float(), reads, present)
        return pooled


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
    return SharedMemory(spec, spec.embedding)
