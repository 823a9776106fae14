"""`full`, version 2: a table with one row an id, for the ids that were worth one in the training data."""

from typing import Literal

import numpy as np

from thimble.models.directory import ID_BYTES, Directory
from thimble.models.hashing import Floats, Int64s
from thimble.models.schemes.base import EmbeddingScheme, Weights


class IndexedEmbedding(EmbeddingScheme):
    """All rows are one table, [fields + places, dim].

    Row f is shared by all ids of field f that have none of their own. The others' rows follow, each at its place in the
    directory, whose keys are weights: they may be as many as the rows.
    """

    scheme: Literal["full"] = "full"
    version: Literal[2] = 2
    directory: Directory

    def check(self, fields: int, dim: int) -> None:
        self.directory.check(fields)

    @property
    def rows(self) -> int:
        """Of the table, those that no id has among them."""
        return len(self.directory.buckets) + self.directory.places

    @property
    def index_bytes(self) -> int:
        """What the directory's keys weigh, which are no embedding weights."""
        return self.directory.places * ID_BYTES

    def weights(self, dim: int) -> int:
        return self.rows * dim

    def row_numbers(self, keys: Int64s, ids: Int64s) -> Int64s:
        """ids [batch, fields] -> their rows, [batch, fields]."""
        fields = ids.shape[1]
        places = self.directory.find(keys, ids)
        return np.where(places < 0, np.arange(fields), fields + places)

    def lookup(self, weights: Weights, ids: Int64s, dim: int) -> Floats:
        embeddings: Floats = weights["table.weight"][self.row_numbers(weights["keys"], ids)].astype(np.float32)
        return embeddings
