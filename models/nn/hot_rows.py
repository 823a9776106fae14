"""Hot rows (`thimble.models.hot_rows`) in torch."""

import torch
from torch import Tensor, nn

from thimble.models.directory import LANES, NO_ID, PRIME
from thimble.models.hot_rows import HotDirectory
from thimble.models.nn.hashing import Hashes, of_fields


class HotSlots(nn.Module):
    """ids [batch, fields] and the slots [batch, fields, chunks] they are hashed to -> the slots that they read.

    They may be in other columns than one a field, if `fields` says whose these are.

    `keys` are the directory's, in which no id is found before they are set. `ids` are what lies there: no artifact has
    them, but a run that goes on from this one has to know whose the rows are.
    """

    keys: Tensor
    ids: Tensor
    ranges: Tensor
    within: Tensor

    def __init__(self, directory: HotDirectory, shared: int, chunks: int) -> None:
        super().__init__()
        self.directory = directory
        self.shared = shared
        lanes = (sum(directory.buckets), LANES)
        self.register_buffer("keys", torch.full(lanes, NO_ID, dtype=torch.int32))
        self.register_buffer("ids", torch.full(lanes, NO_ID))
        self.hashes = Hashes(directory.constants(), PRIME)
        self.register_buffer("ranges", torch.from_numpy(directory.ranges()), persistent=False)
        self.register_buffer("within", torch.arange(chunks), persistent=False)

    def forward(self, ids: Tensor, slots: Tensor, fields: Tensor | None = None) -> Tensor:
        place = self.places(ids, fields).unsqueeze(2)
        own = self.shared + place * len(self.within) + self.within
        return torch.where(place < 0, slots, own)

    def places(self, ids: Tensor, fields: Tensor | None = None) -> Tensor:
        """[batch, fields], -1 for ids that have none."""
        first, buckets = of_fields(self.ranges, fields).unbind()
        hashed = self.hashes(ids, fields)  # [batch, fields, choices]
        bucket = first + hashed % buckets
        lanes = nn.functional.embedding(bucket, self.keys)  # [batch, fields, choices, lanes]
        # of bytes, the largest and where it is take half the time of any other way
        found, lane = (lanes == hashed.unsqueeze(3)).to(torch.uint8).max(3)
        return torch.where(found.bool(), bucket * LANES + lane, -1).amax(2)
