"""DeepFM (Guo et al., IJCAI 2017): its sizes, and what it computes, in numpy."""

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

import numpy as np

from thimble.models.architectures.base import AskedSizes, BaseArchitecture
from thimble.models.architectures.layers import (
    HIDDEN_ALONE,
    OverArch,
    as_logits,
    concatenated,
    first_layer,
    first_order,
    last_layer,
    mlp,
    number_vectors,
    widths_in_words,
)
from thimble.models.hashing import Floats
from thimble.models.schemes.base import Weights


class DeepFmArchitecture(BaseArchitecture):
    """Layer widths of the deep part, whose input is the numbers and all embeddings side by side.

    The last weight of an id's embedding is no part of that: it is the id's first-order weight. The last layer, of
    width 1, takes three things beside the deep part's hidden units: the numbers, the sum of a row's first-order
    weights, and the second-order term of a factorisation machine over its embeddings. So the logit is the sum of all
    parts'.

    DeepCTR-Torch's DeepFM is so. In FuxiCTR's a number is a vector too, itself times one that is trained, which is
    embedded as an id is: `number_vectors`.
    """

    kind: Literal["deepfm"] = "deepfm"
    over_arch: OverArch
    number_vectors: bool = False

    takes: ClassVar = frozenset({"over_arch"})

    @classmethod
    def create(cls, asked: AskedSizes) -> Self:
        return cls(over_arch=[*(asked.over_arch or HIDDEN_ALONE), 1])

    def check(self, numbers: int, embedding_dim: int) -> None:
        if embedding_dim < 2:
            raise ValueError(f"embedding_dim must be 2 or more, a vector and a first-order weight, not {embedding_dim}")
        if self.number_vectors and not numbers:
            raise ValueError("number_vectors are for models with numbers, and dense is empty")

    def logits(self, weights: Weights, tensors: Mapping[str, Floats], embeddings: Floats) -> Floats:
        numbers = tensors["dense"]
        vectors, first = first_order(embeddings)
        x = concatenated(numbers, vectors)
        if self.number_vectors:
            vectors = np.concatenate([number_vectors(weights, numbers), vectors], axis=1)
            x = concatenated(vectors)
        beside = concatenated(numbers, first, second_order(vectors))
        return as_logits(mlp(weights, "over_arch", self.over_arch, x, beside))

    @property
    def float_layers(self) -> frozenset[str]:
        """The first layer, whose inputs differ much in size, and the last one, whose inputs decide the logit."""
        return frozenset({first_layer("over_arch"), last_layer("over_arch", self.over_arch)})

    def __str__(self) -> str:
        return widths_in_words("vectors of numbers" if self.number_vectors else "", self.over_arch)


def second_order(vectors: Floats) -> Floats:
    """The dot products of all pairs of vectors [rows, n, dim], summed: [rows, 1]; of no vectors [rows, 0].

    (Σv)² - Σv² has each pair twice (Rendle, ICDM 2010).
    """
    if not vectors.shape[1]:
        return vectors.reshape(len(vectors), 0)
    pairs = vectors.sum(axis=1) ** 2 - (vectors**2).sum(axis=1)
    summed: Floats = np.float32(0.5) * pairs.sum(axis=1, keepdims=True)
    return summed
