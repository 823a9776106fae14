"""Wide & Deep (Cheng et al., DLRS 2016): its sizes, and what it computes, in numpy."""

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

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
    widths_in_words,
)
from thimble.models.hashing import Floats
from thimble.models.schemes.base import Weights


class WideDeepArchitecture(BaseArchitecture):
    """Layer widths of the deep part, whose input is the numbers and all embeddings side by side.

    The last weight of an id's embedding is no part of that: it is the id's first-order weight. The last layer, of
    width 1, takes the numbers and the sum of a row's first-order weights beside the deep part's hidden units. So the
    logit is the wide part's and the deep part's, added up. FuxiCTR's and DeepCTR-Torch's WideDeep are so; crossed
    columns, as in the paper, have to be columns of the clicks.
    """

    kind: Literal["wide-deep"] = "wide-deep"
    over_arch: OverArch

    takes: ClassVar = frozenset({"over_arch"})

    @classmethod
    def create(cls, asked: AskedSizes) -> Self:
        return cls(over_arch=[*(asked.over_arch or HIDDEN_ALONE), 1])

    def check(self, numbers: int, embedding_dim: int) -> None:
        if embedding_dim < 2:
            raise ValueError(f"embedding_dim must be 2 or more, a vector and a first-order weight, not {embedding_dim}")

    def logits(self, weights: Weights, tensors: Mapping[str, Floats], embeddings: Floats) -> Floats:
        numbers = tensors["dense"]
        vectors, first = first_order(embeddings)
        x, beside = concatenated(numbers, vectors), concatenated(numbers, first)
        return as_logits(mlp(weights, "over_arch", self.over_arch, x, beside))

    @property
    def float_layers(self) -> frozenset[str]:
        """The first layer, whose inputs differ much in size, and the last one, whose inputs decide the logit."""
        return frozenset({first_layer("over_arch"), last_layer("over_arch", self.over_arch)})

    def __str__(self) -> str:
        return widths_in_words(self.over_arch)
