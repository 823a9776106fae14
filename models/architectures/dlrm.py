"""DLRM (Naumov et al. 2019) in TorchRec's words: its sizes, and what it computes, in numpy."""

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

import numpy as np

from thimble.models.architectures.base import AskedSizes, BaseArchitecture
from thimble.models.architectures.layers import (
    HIDDEN,
    OverArch,
    as_logits,
    first_layer,
    last_layer,
    mlp,
    widths_in_words,
)
from thimble.models.base import Positive
from thimble.models.hashing import Floats
from thimble.models.schemes.base import Weights


class DlrmArchitecture(BaseArchitecture):
    """Layer widths after the input.

    `dense_arch` ends with the embeddings' dimension, because the interaction takes dot products of its output with
    them, and `over_arch` ends with 1, the logit. Without numbers `dense_arch` has no layers: its output would be the
    same for all rows, so it is a vector that is trained.
    """

    kind: Literal["dlrm"] = "dlrm"
    dense_arch: list[Positive]
    over_arch: OverArch

    takes: ClassVar = frozenset({"dense_arch", "over_arch"})

    @classmethod
    def create(cls, asked: AskedSizes) -> Self:
        dense_arch = [*(asked.dense_arch or HIDDEN), asked.embedding_dim] if asked.numbers else []
        return cls(dense_arch=dense_arch, over_arch=[*(asked.over_arch or HIDDEN), 1])

    def check(self, numbers: int, embedding_dim: int) -> None:
        if not numbers and self.dense_arch:
            raise ValueError("dense_arch must be empty, as dense is")
        last = self.dense_arch[-1] if self.dense_arch else None
        if numbers and last != embedding_dim:
            raise ValueError(f"dense_arch must end with embedding_dim {embedding_dim}, not {last}")

    def logits(self, weights: Weights, tensors: Mapping[str, Floats], embeddings: Floats) -> Floats:
        if self.dense_arch:
            vector = np.maximum(mlp(weights, "dense_arch", self.dense_arch, tensors["dense"]), 0)
        else:
            vector = np.tile(weights["dense_arch.vector"], (len(embeddings), 1))
        together = np.concatenate([vector[:, None], embeddings], axis=1)
        rows, columns = np.tril_indices(together.shape[1], -1)
        products = (together @ together.transpose(0, 2, 1))[:, rows, columns]
        return as_logits(mlp(weights, "over_arch", self.over_arch, np.concatenate([vector, products], axis=1)))

    @property
    def float_layers(self) -> frozenset[str]:
        """The first and the last layer: they are small, and the last one's inputs decide the logit."""
        first = first_layer("dense_arch" if self.dense_arch else "over_arch")
        return frozenset({first, last_layer("over_arch", self.over_arch)})

    def __str__(self) -> str:
        return widths_in_words(self.dense_arch, self.over_arch)
