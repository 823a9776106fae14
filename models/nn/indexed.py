"""A table with one row an id (`thimble.models.schemes.indexed`) in torch."""

import math

import torch
from torch import Tensor, nn

from thimble.models.directory import LANES, NO_ID, PRIME
from thimble.models.nn.hashing import Hashes, of_fields
from thimble.models.nn.pooling import BagPooling
from thimble.models.schemes.indexed import IndexedEmbedding
from thimble.models.spec import ModelSpec


class IndexedTable(nn.Module):
    """ids [batch, slots] -> float32 [batch, fields, dim], those of bags pooled. Without bags a field has one slot.

    `keys` are the directory's, in which no id is found before they are set. A batch's gradients touch only the rows
    that it reads. Both keys and `table` are made unless they are given.
    """

    keys: Tensor
    ranges: Tensor
    shared: Tensor

    def __init__(
        self, spec: ModelSpec, embedding: IndexedEmbedding, keys: Tensor | None = None, table: Tensor | None = None
    ) -> None:
        super().__init__()
        directory = embedding.directory
        fields = len(directory.buckets)
        self.register_buffer("keys", torch.full((sum(directory.buckets), LANES), NO_ID) if keys is None else keys)
        self.hashes = Hashes(directory.constants(), PRIME)
        self.register_buffer("ranges", torch.from_numpy(directory.ranges()), persistent=False)
        self.register_buffer("shared", torch.arange(fields).unsqueeze(1), persistent=False)
        self.pooling = BagPooling(spec.bags) if any(spec.bags) else None
        if table is not None:
            self.table = nn.Embedding(table.shape[0], table.shape[1], sparse=True, _weight=table)
            return
        self.table = nn.Embedding(embedding.rows, spec.embedding_dim, sparse=True)
        self._draw([LANES * buckets for buckets in directory.buckets])

    @torch.no_grad()
    def _draw(self, places: list[int]) -> None:
        """The same Uniform(+-sqrt(1 / rows)) that DLRM gives its tables.

        Shared rows begin at 0: where training has no id for one, it says nothing.
        """
        fields = len(places)
        nn.init.zeros_(self.table.weight[:fields])
        for rows in torch.split(self.table.weight[fields:], places):
            nn.init.uniform_(rows, -math.sqrt(1 / len(rows)), math.sqrt(1 / len(rows)))

    def forward(self, ids: Tensor) -> Tensor:
        if self.pooling:
            return self.pooling.looked_up(self.table.weight, self.row_numbers, ids)
        embeddings: Tensor = self.table(self.row_numbers(ids))
        return embeddings.float()

    def row_numbers(self, ids: Tensor, fields: Tensor | None = None) -> Tensor:
        """[batch, fields], or [batch, columns] for ids of which `fields` says whose their columns are."""
        first, buckets = of_fields(self.ranges, fields).unbind()
        bucket = first + self.hashes(ids, fields) % buckets  # [batch, fields, choices]
        lanes = nn.functional.embedding(bucket, self.keys)  # [batch, fields, choices, lanes]
        # of bytes, the largest and where it is take half the time of any other way
        found, lane = (lanes == ids[:, :, None, None]).to(torch.uint8).max(3)
        own = len(self.shared) + bucket * LANES + lane
        shared = self.shared if fields is None else self.shared.index_select(0, fields)
        return torch.where(found.bool(), own, shared).amax(2)
