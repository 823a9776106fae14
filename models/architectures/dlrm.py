"""DLRM (Naumov et al. 2019) in TorchRec's words: its sizes, and what it computes, in numpy."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from thimble.models.architectures.base import BaseArchitecture
from thimble.models.base import Positive
from thimble.models.hashing import Floats
from thimble.models.schemes.base import Weights

Widths = Annotated[list[Positive], Field(min_length=1)]


class DlrmArchitecture(BaseArchitecture):
    """Layer widths after the input.

    `dense_arch` ends with the embeddings' dimension, because the interaction takes dot products of its output with
    them, and `over_arch` ends with 1, the logit. Without numbers `dense_arch` has no layers: its output would be the
    same for all rows, so it is a vector that is trained.
    """

    kind: Literal["dlrm"] = "dlrm"
    dense_arch: list[Positive]
    over_arch: Widths

    @model_validator(mode="after")
    def _one_logit(self) -> Self:
        if self.over_arch[-1] != 1:
            raise ValueError(f"over_arch must end with 1, not {self.over_arch[-1]}")
        return self

    def check(self, numbers: int, embedding_dim: int) -> None:
        if not numbers and self.dense_arch:
            raise ValueError("dense_arch must be empty, as dense is")
        last = self.dense_arch[-1] if self.dense_arch else None
        if numbers and last != embedding_dim:
            raise ValueError(f"dense_arch must end with embedding_dim {embedding_dim}, not {last}")

    def logits(self, weights: Weights, tensors: Mapping[str, Floats], embeddings: Floats) -> Floats:
        if self.dense_arch:
            vector = np.maximum(_mlp(weights, "dense_arch", self.dense_arch, tensors["dense"]), 0)
        else:
            vector = np.tile(weights["dense_arch.vector"], (len(embeddings), 1))
        together = np.concatenate([vector[:, None], embeddings], axis=1)
        rows, columns = np.tril_indices(together.shape[1], -1)
        products = (together @ together.transpose(0, 2, 1))[:, rows, columns]
        return _mlp(weights, "over_arch", self.over_arch, np.concatenate([vector, products], axis=1))[:, 0]

    @property
    def float_layers(self) -> frozenset[str]:
        """The first and the last layer: they are small, and the last one's inputs decide the logit."""
        first = "dense_arch.0" if self.dense_arch else "over_arch.0"
        return frozenset({first, f"over_arch.{2 * (len(self.over_arch) - 1)}"})

    def __str__(self) -> str:
        return " | ".join(" ".join(map(str, widths)) for widths in (self.dense_arch, self.over_arch) if widths)


def _mlp(weights: Weights, name: str, widths: Sequence[int], x: Floats) -> Floats:
    for i in range(len(widths)):
        x = x if i == 0 else np.maximum(x, 0)
        x = x @ weights[f"{name}.{2 * i}.weight"].T + weights[f"{name}.{2 * i}.bias"]
    return x
