"""What a mapping file may name: the parameters of each architecture, and orders in which a layer takes its inputs."""

from collections.abc import Collection, Sequence
from typing import Literal

Arch = Literal["dlrm", "dcnv2", "deepfm", "wide-deep", "mlp"]
Block = Literal["dense", "lower", "upper", "upper dense last", "padding", "numbers", "embeddings"]
"""What a layer takes.

After an interaction: the dense vector, the products of pairs, and columns that are always 0 up to a multiple of 8 in
all. Without one: numbers, and the embeddings in the order of the fields.
"""


def _linear(part: str) -> set[str]:
    return {f"{part}.weight", f"{part}.bias"}


def _mlp(part: str) -> set[str]:
    return _linear(part) | _linear(f"{part}.norm") | {f"{part}.norm.mean", f"{part}.norm.variance"}


_OVER = _mlp("over_arch") | _linear("over_arch.last")
_DLRM = _mlp("dense_arch") | _OVER
_FIRST_ORDER = {"embeddings", "first_order", "number_weights", "logit_bias"} | _OVER
_CROSS = _linear("cross") | {"cross.down", "cross.stacked", "cross.stacked_bias"}

PARAMETERS: dict[Arch | Literal["robe"], set[str]] = {
    "dlrm": {"embeddings", "triangle"} | _DLRM,
    "robe": {"memory", "random_numbers", "aliases", "hashed_aliases", "multipliers", "offsets"} | _DLRM,
    "dcnv2": _mlp("dense_arch") | _CROSS | _mlp("deep") | _FIRST_ORDER,
    "deepfm": _FIRST_ORDER,
    "wide-deep": _FIRST_ORDER,
    "mlp": {"embeddings", "logit_bias"} | _OVER,
}
"""A DLRM with a ROBE array is `robe`."""

_ANY_LAST = ("over_arch.weight", "over_arch.last.weight")
REQUIRED: dict[Arch | Literal["robe"], Sequence[Collection[str]]] = {
    "dlrm": [("embeddings",), ("over_arch.weight",)],
    "robe": [("memory",), ("random_numbers",), ("dense_arch.weight",), ("over_arch.weight",)],
    "dcnv2": [("embeddings",), ("cross.weight", "cross.stacked"), ("over_arch.last.weight",)],
    "deepfm": [("embeddings",), ("first_order",), _ANY_LAST],
    "wide-deep": [("embeddings",), ("first_order",), _ANY_LAST],
    "mlp": [("embeddings",), _ANY_LAST],
}
"""One of each of these has to be there."""

NEEDS = [
    *(("cross.stacked", "cross.stacked_bias"), ("cross.stacked_bias", "cross.stacked")),
    *(("cross.weight", "cross.bias"), ("cross.bias", "cross.weight"), ("cross.down", "cross.weight")),
    *(
        (f"{part}.norm.{one}", f"{part}.norm.{other}")
        for part in ("dense_arch", "deep", "over_arch")
        for one, other in (
            *(("mean", "variance"), ("variance", "mean"), ("weight", "bias"), ("bias", "weight"), ("weight", "mean")),
        )
    ),
]
"""The first of two says nothing without the second."""

NAMED = {"embeddings", "first_order"}
"""Those whose keys may have the names of features in them."""

TRIANGLES = ("lower", "upper", "upper dense last")


def missing(architecture: Arch | Literal["robe"], given: Collection[str], optional: Collection[str]) -> str | None:
    """What is not given and has to be. What is given and `optional` may turn out not to be there."""
    for choice in REQUIRED[architecture]:
        if not any(name in given for name in choice):
            return " or ".join(choice)
    known = {*given, *optional}
    return next((second for first, second in NEEDS if first in known and second not in known), None)


def takes_inputs(architecture: Arch) -> Sequence[str]:
    """The parameters that are the first to take what an architecture's features become."""
    return ("cross.weight", "cross.stacked") if architecture == "dcnv2" else ("over_arch.weight",)


def is_order(architecture: Arch, blocks: Sequence[Block]) -> bool:
    """Whether one of those can take its inputs so."""
    if architecture != "dlrm":
        return sorted(blocks) == ["embeddings", "numbers"]
    own = blocks[:-1] if blocks and blocks[-1] == "padding" else blocks
    return any(sorted(own) == sorted(("dense", triangle)) for triangle in TRIANGLES)
