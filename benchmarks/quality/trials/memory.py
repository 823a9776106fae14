"""The shared array as it is tried: its weights quantised, some ids with rows of their own."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from benchmarks.quality.trials.quantisers import KINDS
from thimble.models.hashing import Int64s
from thimble.models.nn.hashing import hashes
from thimble.models.nn.shared_memory import SharedMemory
from thimble.models.schemes.block import BlockEmbedding
from thimble.models.spec import ModelSpec


class TriedMemory(SharedMemory):
    """`hot` are ids of each field with chunks of their own at the end of the array; ids are numbers of table rows.

    `scales` says what has a factor of its own that is trained, beside the quantiser's step: nothing, a field, or each
    of a field's chunks. The initial weights are uniform within `bound`, or as the product draws them.
    """

    places: Tensor
    firsts: Tensor

    def __init__(
        self,
        spec: ModelSpec,
        embedding: BlockEmbedding,
        weights: str,
        *,
        hot: Sequence[Int64s] = (),
        scales: str = "",
        bound: float | None = None,
    ) -> None:
        super().__init__(embedding, spec.fields, spec.embedding_dim, spec.precision.memory)
        if bound is not None:
            nn.init.uniform_(self.memory, -bound, bound)
        chunks = embedding.chunks(self.dim)
        self.shared = len(self.memory) - chunks * sum(map(len, hot))
        rows = [field.rows for field in spec.fields]
        self.register_buffer("firsts", torch.tensor([0, *rows]).cumsum(0)[:-1])
        places = torch.full((sum(rows),), -1)
        for first, ids, before in zip(self.firsts, hot, torch.tensor([0, *map(len, hot)]).cumsum(0), strict=False):
            places[first + torch.from_numpy(ids)] = torch.arange(before, before + len(ids))
        self.register_buffer("places", places)
        self.has_hot_rows = bool(sum(map(len, hot)))
        self._start_hot_rows(hot)
        self.quantiser = KINDS[weights].made(self.memory)
        shape = {"": (), "field": (len(rows), 1), "chunk": (len(rows), chunks)}[scales]
        self.scales = nn.Parameter(torch.zeros(*shape, 1)) if shape else None

    @torch.no_grad()
    def _start_hot_rows(self, hot: Sequence[Int64s]) -> None:
        """From what their ids would read."""
        for field, ids in enumerate(hot):
            if len(ids):
                table = torch.zeros(len(ids), len(self.firsts), dtype=torch.int64)
                table[:, field] = torch.from_numpy(ids)
                hashed = hashes(table, self.constants, self.map.prime)[:, field] % self.shared
                self.memory[self.slots(table)[:, field]] = self.memory[hashed]

    def slots(self, ids: Tensor) -> Tensor:
        """[batch, fields, chunks]"""
        slots = hashes(ids, self.constants, self.map.prime) % self.shared
        if not self.has_hot_rows:
            return slots
        place = self.places[self.firsts + ids].unsqueeze(-1)
        own = self.shared + place * slots.shape[2] + torch.arange(slots.shape[2])
        return torch.where(place < 0, slots, own)

    def forward(self, ids: Tensor) -> Tensor:
        slots = self.slots(ids)
        if len(self.memory) < slots.numel():
            chunks = self.quantiser(self.memory).index_select(0, slots.flatten())
        else:
            chunks = self.quantiser(self.memory.index_select(0, slots.flatten()))
        chunks = chunks.view(*slots.shape, -1)
        if self.scales is not None:
            chunks = chunks * self.scales.exp()
        embeddings: Tensor = chunks.flatten(2)[..., : self.dim]
        return embeddings
