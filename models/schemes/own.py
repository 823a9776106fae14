"""`own`: what becomes of ids is a matter of a module that is somebody's own."""

from typing import Literal

from thimble.models.base import Positive
from thimble.models.hashing import Floats, Int64s
from thimble.models.schemes.base import EmbeddingScheme, Weights


class OwnEmbedding(EmbeddingScheme):
    """Embeddings of so many weights in all, which only the module can look up."""

    scheme: Literal["own"] = "own"
    version: Literal[1] = 1
    length: Positive

    def check(self, fields: int, dim: int) -> None:
        """It goes with all."""

    def weights(self, dim: int) -> int:
        return self.length

    def lookup(self, weights: Weights, ids: Int64s, dim: int) -> Floats:
        raise NotImplementedError("only the module itself knows its embeddings")
