"""DCN V2 (Wang et al., WWW 2021): its sizes, and what it computes, in numpy."""

from collections.abc import Mapping
from typing import ClassVar, Final, Literal, Self

import numpy as np

from thimble.models.architectures.base import AskedSizes, BaseArchitecture
from thimble.models.architectures.layers import (
    HIDDEN,
    OverArch,
    as_logits,
    concatenated,
    first_layer,
    first_order,
    last_layer,
    linear,
    mlp,
    number_vectors,
    widths_in_words,
)
from thimble.models.base import Positive
from thimble.models.hashing import Floats
from thimble.models.schemes.base import Weights

LAYERS: Final = 3
RANK: Final = 64


class DcnV2Architecture(BaseArchitecture):
    """Sizes of a cross network and of what is around it.

    Its input x_0 is what `dense_arch` makes of the numbers, and all embeddings, side by side. A cross layer is
    x_{l+1} = x_0 * (W_l x_l + b_l) + x_l; with a `cross_rank` W_l is the product of two matrices, of so many columns
    and rows. `over_arch` is an MLP on top of the last one ("stacked"), `deep` are the hidden widths of one that takes
    x_0 in parallel: its output goes into the last layer of `over_arch`, beside the hidden units there.

    - MLPerf's DLRM-DCNv2, which is torchrec's `DLRM_DCN`, has `dense_arch`, a rank, and `over_arch`.
    - FuxiCTR's DCNv2 has neither `dense_arch` nor rank: without `dense_arch` the numbers go into x_0 as they are or, as
      FuxiCTR's do, each as itself times a vector that is trained (`number_vectors`). Of its structures `parallel` has
      `deep` and an `over_arch` of 1 alone, `stacked` has none of the former, `stacked_parallel` has both.
    - DeepCTR-Torch's DCN is parallel too, numbers as they are, with first-order weights of ids and numbers added
      (`first_order`): an id's is the last weight of its embedding, and no part of x_0.
    """

    kind: Literal["dcnv2"] = "dcnv2"
    dense_arch: list[Positive]
    number_vectors: bool = False
    first_order: bool = False
    cross_layers: Positive
    cross_rank: Positive | None = None
    deep: list[Positive]
    over_arch: OverArch

    takes: ClassVar = frozenset({"dense_arch", "over_arch", "cross_layers", "cross_rank"})

    @classmethod
    def create(cls, asked: AskedSizes) -> Self:
        """MLPerf's form. Full rank, if nobody says otherwise, where a low one would save nothing."""
        dense_arch = [*(asked.dense_arch or HIDDEN), asked.embedding_dim] if asked.numbers else []
        width = asked.embedding_dim * (asked.fields + bool(asked.numbers))
        rank = asked.cross_rank or (RANK if width > 2 * RANK else None)
        if rank is not None and rank > width:
            raise ValueError(f"cross_rank {rank} is more than the {width} inputs of a cross layer")
        return cls(
            dense_arch=dense_arch,
            cross_layers=asked.cross_layers or LAYERS,
            cross_rank=rank,
            deep=[],
            over_arch=[*(asked.over_arch or HIDDEN), 1],
        )

    def check(self, numbers: int, embedding_dim: int) -> None:
        if not numbers and self.dense_arch:
            raise ValueError("dense_arch must be empty, as dense is")
        if not numbers and self.number_vectors:
            raise ValueError("number_vectors are for models with numbers, and dense is empty")
        if self.dense_arch and self.number_vectors:
            raise ValueError("dense_arch and number_vectors both take the numbers; a model has one of them")
        if self.first_order and embedding_dim < 2:
            raise ValueError(f"embedding_dim must be 2 or more, a vector and a first-order weight, not {embedding_dim}")

    def logits(self, weights: Weights, tensors: Mapping[str, Floats], embeddings: Floats) -> Floats:
        numbers, beside = tensors["dense"], []
        if self.first_order:
            embeddings, first = first_order(embeddings)
            beside = [numbers, first]
        if self.dense_arch:
            numbers = np.maximum(mlp(weights, "dense_arch", self.dense_arch, numbers), 0)
        elif self.number_vectors:
            numbers = number_vectors(weights, numbers)
        x0 = x = concatenated(numbers, embeddings)
        for layer in range(self.cross_layers):
            x = x0 * self._cross(weights, f"cross_net.{layer}", x) + x
        if self.deep:
            beside = [np.maximum(mlp(weights, "deep", self.deep, x0), 0), *beside]
        return as_logits(mlp(weights, "over_arch", self.over_arch, x, concatenated(*beside) if beside else None))

    def _cross(self, weights: Weights, name: str, x: Floats) -> Floats:
        if self.cross_rank is None:
            return linear(weights, name, x)
        return linear(weights, f"{name}.1", x @ weights[f"{name}.0.weight"].T)

    @property
    def float_layers(self) -> frozenset[str]:
        """The first layer, or those that take the numbers as they are, and the last one."""
        last = last_layer("over_arch", self.over_arch)
        if self.dense_arch:
            return frozenset({first_layer("dense_arch"), last})
        cross = "cross_net.0" if self.cross_rank is None else "cross_net.0.0"
        return frozenset({cross, *([first_layer("deep")] if self.deep else []), last})

    def __str__(self) -> str:
        cross = f"{self.cross_layers} cross layers{f' of rank {self.cross_rank}' if self.cross_rank else ''}"
        around = ["first-order weights"] * self.first_order + ["vectors of numbers"] * self.number_vectors
        deep = f"{' '.join(map(str, self.deep))} beside" if self.deep else ""
        return widths_in_words(self.dense_arch, *around, cross, deep, self.over_arch)
