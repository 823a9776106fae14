"""Embeddings in torch: one shared memory, or ordinary tables. Both map ids to float32 [batch, fields, dim]."""

import math

import torch
from torch import Tensor, nn

from thimble.models.hashing import LOW, LOW_BITS, hash_map
from thimble.models.spec import BlockEmbedding, FullEmbedding, ModelSpec, RobeEmbedding

ONNX_DOMAIN = "thimble"
ONNX_OP = "HashLookup"


class SharedMemory(nn.Module):
    """One trainable array that every field reads in chunks at hashed positions (`thimble.models.hashing`).

    The memory is [slots, chunk_size] for aligned schemes (`block`) and [memory_length] for the others.
    """

    memory: nn.Parameter
    constants: Tensor

    def __init__(self, spec: ModelSpec, embedding: BlockEmbedding | RobeEmbedding) -> None:
        super().__init__()
        self.map = hash_map(spec)
        self.embedding = embedding
        self.dim = spec.embedding_dim
        self.chunk = embedding.chunk_size
        self.aligned = isinstance(embedding, BlockEmbedding)
        # Uniform(+-sqrt(1 / max rows)) is the authors' initialisation of the array.
        bound = math.sqrt(1 / max(field.rows for field in spec.fields))
        memory = torch.empty(embedding.memory_length).uniform_(-bound, bound)
        self.memory = nn.Parameter(memory.view(-1, self.chunk) if self.aligned else memory)
        self.register_buffer("constants", torch.from_numpy(self.map.constants))

    def forward(self, ids: Tensor) -> Tensor:
        fields = self.constants.shape[1]
        if torch.onnx.is_in_onnx_export():
            return torch.onnx.ops.symbolic(
                f"{ONNX_DOMAIN}::{ONNX_OP}",
                (ids, self.memory, self.constants),
                attrs={
                    "scheme": self.embedding.scheme,
                    "version": self.embedding.version,
                    "chunk_size": self.chunk,
                    "dim": self.dim,
                },
                dtype=torch.float32,
                shape=(ids.shape[0], fields, self.dim),
                version=1,
            )
        a, b, s = self.constants
        low, high = (ids & (LOW - 1)).unsqueeze(-1), (ids >> LOW_BITS).unsqueeze(-1)
        slots = (low * a + high * b + s) % self.map.prime % self.map.slots  # [batch, fields, chunks]
        if self.aligned:
            # index_select's backward is several times faster than an embedding's on CPU
            chunks = self.memory.index_select(0, slots.flatten())
        else:
            positions = slots.unsqueeze(-1) + torch.arange(self.chunk, device=ids.device)
            chunks = self.memory.index_select(0, positions.flatten())
        return chunks.view(ids.shape[0], fields, slots.shape[2] * self.chunk)[..., : self.dim].float()


class FullTables(nn.Module):
    """One table a field, indexed by id modulo its length."""

    def __init__(self, spec: ModelSpec, embedding: FullEmbedding) -> None:
        super().__init__()
        self.rows = embedding.table_rows
        self.tables = nn.ModuleList()
        for rows in self.rows:
            table = nn.Embedding(rows, spec.embedding_dim, sparse=True)
            # the same Uniform(+-sqrt(1 / rows)) that DLRM gives its tables
            nn.init.uniform_(table.weight, -math.sqrt(1 / rows), math.sqrt(1 / rows))
            self.tables.append(table)

    def forward(self, ids: Tensor) -> Tensor:
        columns = [table(ids[:, f] % self.rows[f]) for f, table in enumerate(self.tables)]
        return torch.stack(columns, dim=1).float()


def sparse_arch(spec: ModelSpec) -> SharedMemory | FullTables:
    """SparseArch: what turns ids [batch, fields] into embeddings [batch, fields, dim]."""
    if isinstance(spec.embedding, FullEmbedding):
        return FullTables(spec, spec.embedding)
    return SharedMemory(spec, spec.embedding)
