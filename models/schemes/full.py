"""`full`: ordinary tables, the baseline. Version 2, with a row for every id, is `thimble.models.schemes.indexed`."""

from typing import Literal, Self

import numpy as np

from thimble.models.base import Positive
from thimble.models.hashing import Floats, Int64s
from thimble.models.inputs import Categorical
from thimble.models.schemes.base import EmbeddingScheme, Sizes, Weights


class FullEmbedding(EmbeddingScheme):
    """Field f reads row `id mod table_rows[f]` of its own table.

    Exact where ids are row numbers, as those of generated clicks. Others would meet in a row by accident.
    """

    scheme: Literal["full"] = "full"
    version: Literal[1] = 1
    table_rows: list[Positive]

    @classmethod
    def create(cls, scheme: str, sizes: Sizes) -> Self:
        return cls(table_rows=[full_rows(field) for field in sizes.fields])

    def check(self, fields: int, dim: int) -> None:
        if len(self.table_rows) != fields:
            raise ValueError(f"{len(self.table_rows)} table lengths for {fields} fields")

    def weights(self, dim: int) -> int:
        return sum(self.table_rows) * dim

    def lookup(self, weights: Weights, ids: Int64s, dim: int) -> Floats:
        columns = [weights[f"tables.{f}.weight"][ids[:, f] % rows] for f, rows in enumerate(self.table_rows)]
        embeddings: Floats = np.stack(columns, axis=1).astype(np.float32)
        return embeddings


def full_rows(field: Categorical) -> int:
    """Length of a field's full table. A string's id is a 60-bit hash, so eight rows a value keep most values alone."""
    return field.rows * 8 if field.kind == "string" else field.rows
