"""`none`: a model without fields has nothing to embed."""

from typing import Literal

import numpy as np

from thimble.models.hashing import Floats, Int64s
from thimble.models.quantization import MemoryPrecision, is_quantized
from thimble.models.schemes.base import EmbeddingScheme, Weights


class NoEmbedding(EmbeddingScheme):
    """No weights, and no embeddings: [batch, 0, dim]."""

    scheme: Literal["none"] = "none"
    version: Literal[1] = 1

    def check(self, fields: int, dim: int) -> None:
        if fields:
            raise ValueError(f"scheme none is for models without fields, and this one has {fields}")

    def check_precision(self, precision: MemoryPrecision) -> None:
        if is_quantized(precision):
            raise ValueError(f"a model without fields has no embeddings, so none that are {precision}")

    def weights(self, dim: int) -> int:
        return 0

    def lookup(self, weights: Weights, ids: Int64s, dim: int) -> Floats:
        return np.empty((len(ids), 0, dim), np.float32)
