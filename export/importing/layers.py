"""Linear layers out of a checkpoint: read, put in order, and with what normalises their outputs folded into them."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

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
    values = _matrix(weight.weight)
    values = values.T if weight.source.transpose else values
    if first and (permutation := weight.source.permutation):
        if sorted(permutation) != list(range(values.shape[1])):
            raise CheckpointError(f"the permutation of {weight.source.key} is none of {values.shape[1]} columns")
        values = values[:, list(permutation)]
    added = bias.weight.read() if bias else np.zeros(values.shape[0], np.float32)
    if bias and added.shape != values.shape[:1]:
        raise CheckpointError(f"{bias.weight.origin} is {list(added.shape)}, for {list(values.shape)} weights")
    return Layer(np.ascontiguousarray(values), added, weight.weight.origin)


def _matrix(weight: Weight) -> Floats:
    if len(weight.shape) != 2:
        raise CheckpointError(f"{weight.origin} is {list(weight.shape)}, and no matrix")
    return weight.read()


def _normalised(layer: Layer, found: Parts, part: str, number: int, own: bool) -> Layer:
    """A layer with the batch normalisation of its outputs in it: its statistics are constants once it is trained."""
    scale, shift, mean, variance = (
        _of(found, f"{part}.{name}", number).read().astype(np.float64)
        for name in ("norm.weight" if own else "weight", "norm.bias" if own else "bias", "norm.mean", "norm.variance")
    )
    factor = scale / np.sqrt(variance + EPSILON)
    weight = (layer.weight * factor[:, None]).astype(np.float32)
    return Layer(weight, ((layer.bias - mean) * factor + shift).astype(np.float32), layer.origin)


def _of(found: Parts, part: str, number: int) -> Weight:
    return next(it.weight for it in found[part] if it.number == number)
