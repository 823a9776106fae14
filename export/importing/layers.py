"""Linear layers out of a checkpoint: read, put in order, and with what normalises their outputs folded into them."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from thimble.export.importing.matching import Found
from thimble.export.importing.weights import CheckpointError, Weight
from thimble.models.hashing import Floats

EPSILON = 1e-5
"""Of torch's BatchNorm1d, which no file holds."""


class Layer(NamedTuple):
    """A linear layer: weight [outputs, inputs] and bias [outputs]."""

    weight: Floats
    bias: Floats
    origin: str

    @property
    def inputs(self) -> int:
        return int(self.weight.shape[1])

    @property
    def outputs(self) -> int:
        return int(self.weight.shape[0])


Parts = Mapping[str, Sequence[Found]]
"""What was found of a checkpoint, by our names."""


def read_layers(found: Parts, part: str) -> list[Layer]:
    """The layers of an MLP, none where there are none. CheckpointError: they are not whole, or do not follow."""
    norms = {found.number for found in found.get(f"{part}.norm.mean", ())}
    own = f"{part}.norm.weight" in found  # else norms are numbered among the layers
    weights, biases = ({it.number: it for it in found.get(f"{part}.{name}", ())} for name in ("weight", "bias"))
    numbers = [number for number in weights if own or number not in norms]
    known = [number for number in biases if own or number not in norms]
    if known and known != numbers:
        raise CheckpointError(f"{part} has {len(numbers)} weights and {len(known)} biases")
    layers = []
    for place, number in enumerate(numbers, 1):
        layer = _layer(weights[number], biases.get(number), first=place == 1)
        for norm in sorted(norms):
            if norm >= number and (place == len(numbers) or norm < numbers[place]):
                layer = _normalised(layer, found, part, norm, own)
        layers.append(layer)
    if numbers and norms and min(norms) < numbers[0]:
        raise CheckpointError(f"{layers[0].origin} takes inputs that were normalised, which cannot be imported")
    return layers


def following(layers: list[Layer]) -> list[Layer]:
    """Layers of which each takes what the one before gives. CheckpointError: they do not."""
    for before, after in pairwise(layers):
        if before.outputs != after.inputs:
            raise CheckpointError(
                f"{after.origin} takes {after.inputs} inputs, and the layer before gives {before.outputs}"
            )
    return layers


def named(part: str, layers: Sequence[Layer]) -> dict[str, Floats]:
    """Weights by their names in the torch module, where a ReLU stands between any two layers."""
    arrays: dict[str, Floats] = {}
    for number, layer in enumerate(layers):
        arrays |= {f"{part}.{2 * number}.weight": layer.weight, f"{part}.{2 * number}.bias": layer.bias}
    return arrays


def one_logit(last: Layer) -> None:
    """CheckpointError: a layer is not the last one."""
    if last.outputs != 1:
        raise CheckpointError(f"{last.origin} is the last layer and gives {last.outputs} numbers, not 1, the logit")


def _layer(weight: Found, bias: Found | None, first: bool) -> Layer:
    values = matrix(weight.weight)
    if first and (permutation := weight.source.permutation) is not None:
        if sorted(permutation) != list(range(values.shape[1])):
            raise CheckpointError(f"the permutation of {weight.source.key} is none of {values.shape[1]} columns")
        values = values[:, list(permutation)]
    added = vector(bias.weight, len(values)) if bias else np.zeros(len(values), np.float32)
    return Layer(np.ascontiguousarray(values), added, weight.weight.origin)


def matrix(weight: Weight) -> Floats:
    """CheckpointError: it is none, or has no rows or columns."""
    if len(weight.shape) != 2 or 0 in weight.shape:
        raise CheckpointError(f"{weight.origin} is {list(weight.shape)}, and no matrix")
    return weight.read()


def vector(weight: Weight, size: int) -> Floats:
    """As many numbers, however they lie: [size]. CheckpointError: there are not as many."""
    if math.prod(weight.shape) != size:
        raise CheckpointError(f"{weight.origin} is {list(weight.shape)}, where {size} belong")
    return weight.read().ravel()


def _normalised(layer: Layer, found: Parts, part: str, number: int, own: bool) -> Layer:
    """A layer with the batch normalisation of its outputs in it: its statistics are constants once it is trained."""
    keys = ("norm.weight", "norm.bias") if own else ("weight", "bias")
    scale, shift, mean, variance = (
        _of_norm(found, f"{part}.{key}", number, layer) for key in (*keys, "norm.mean", "norm.variance")
    )
    if variance.min() < 0:
        raise CheckpointError(f"the normalisation after {layer.origin} has a variance below 0")
    factor = scale / np.sqrt(variance + EPSILON)
    weight = (layer.weight * factor[:, None]).astype(np.float32)
    return Layer(weight, ((layer.bias - mean) * factor + shift).astype(np.float32), layer.origin)


def _of_norm(found: Parts, part: str, number: int, layer: Layer) -> npt.NDArray[np.float64]:
    weight = next((it.weight for it in found.get(part, ()) if it.number == number), None)
    if weight is None:
        raise CheckpointError(f"the normalisation after {layer.origin} has no {part} of number {number}")
    return vector(weight, layer.outputs).astype(np.float64)
