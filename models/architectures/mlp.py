"""An MLP over numbers and embeddings alone: its sizes, and what it computes, in numpy."""

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from thimble.models.architectures.base import AskedSizes, BaseArchitecture
from thimble.models.architectures.layers import (
    HIDDEN_ALONE,
    OverArch,
    as_logits,
    concatenated,
    first_layer,
    last_layer,
    mlp,
    widths_in_words,
)
from thimble.models.hashing import Floats
from thimble.models.schemes.base import Weights


class MlpArchitecture(BaseArchitecture):
    """Layer widths after the input, which is the numbers and all embeddings side by side; the last one is 1, the logit.

    FuxiCTR and DeepCTR call it DNN.
    """

    kind: Literal["mlp"] = "mlp"
    over_arch: OverArch

    takes: ClassVar = frozenset({"over_arch"})

    @classmethod
    def create(cls, asked: AskedSizes) -> Self:
        return cls(over_arch=[*(asked.over_arch or HIDDEN_ALONE), 1])

    def check(self, numbers: int, embedding_dim: int) -> None:
        """It goes with all."""

    def logits(self, weights: Weights, tensors: Mapping[str, Floats], embeddings: Floats) -> Floats:
        return as_logits(mlp(weights, "over_arch", self.over_arch, concatenated(tensors["dense"], embeddings)))

    @property
    def float_layers(self) -> frozenset[str]:
        """The first layer, whose inputs differ much in size, and the last one, whose inputs decide the logit."""
        return frozenset({first_layer("over_arch"), last_layer("over_arch", self.over_arch)})

    def __str__(self) -> str:
        return widths_in_words(self.over_arch)
