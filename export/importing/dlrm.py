"""The layers of a DLRM out of a checkpoint, each in our order."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from thimble.export.importing.mapping import Found, Order
from thimble.export.importing.weights import CheckpointError, Weight
from thimble.models.architectures.dlrm import DlrmArchitecture
from thimble.models.hashing import Floats, Int64s

PADDED = 8
"""NVIDIA's interaction has zeros at the end, so that its width is a multiple of this."""


class Layer(NamedTuple):
    """A linear layer: weight [outputs, inputs] and bias [outputs]."""

    weight: Floats
    bias: Floats
    origin: str


class DlrmLayers(NamedTuple):
    """All of a DLRM but its embeddings."""

    dense_arch: list[Layer]
    over_arch: list[Layer]

    @property
    def architecture(self) -> DlrmArchitecture:
        dense, over = ([layer.weight.shape[0] for layer in layers] for layers in self)
        return DlrmArchitecture(dense_arch=dense, over_arch=over)

    def weights(self) -> dict[str, Floats]:
        """By their names in the torch module, where a ReLU stands between any two layers."""
        return {
            f"{part}.{2 * number}.{name}": array
            for part, layers in self._asdict().items()
            for number, layer in enumerate(layers)
            for name, array in (("weight", layer.weight), ("bias", layer.bias))
        }


def dense_layers(found: Mapping[str, Sequence[Found]]) -> list[Layer]:
    """Those of the numbers. CheckpointError: they do not follow from one another."""
    return _following(_layers(found, "dense_arch"))


def over_layers(found: Mapping[str, Sequence[Found]], fields: int, dim: int) -> list[Layer]:
    """Those that take the interaction. CheckpointError: they do not follow from one another, or take another one."""
    over = _layers(found, "over_arch")
    first = found["over_arch.weight"][0].source
    order = first.inputs or ("dense", "lower")
    wide = dim + fields * (fields + 1) // 2
    wide += -wide % PADDED if "padding" in order else 0
    if over[0].weight.shape[1] != wide:
        raise CheckpointError(_why_wide(over[0], fields, dim, wide))
    if first.permutation is None:
        over[0] = over[0]._replace(weight=over[0].weight[:, _our_inputs(order, fields, dim)])
    over = _following([*over, *_layers(found, "over_arch.last")])
    if (outputs := over[-1].weight.shape[0]) != 1:
        raise CheckpointError(f"{over[-1].origin} is the last layer and gives {outputs} numbers, not 1, the logit")
    return over


def _following(layers: list[Layer]) -> list[Layer]:
    for before, after in pairwise(layers):
        given, taken = before.weight.shape[0], after.weight.shape[1]
        if given != taken:
            raise CheckpointError(f"{after.origin} takes {taken} inputs, and the layer before gives {given}")
    return layers


def _layers(found: Mapping[str, Sequence[Found]], part: str) -> list[Layer]:
    weights = found.get(f"{part}.weight", ())
    biases = found.get(f"{part}.bias", ())
    if biases and len(biases) != len(weights):
        raise CheckpointError(f"{part} has {len(weights)} weights and {len(biases)} biases")
    layers = []
    for place, (weight, source, _) in enumerate(weights):
        values = _matrix(weight)
        values = values.T if source.transpose else values
        if place == 0 and source.permutation:
            if sorted(source.permutation) != list(range(values.shape[1])):
                raise CheckpointError(f"the permutation of {source.key} is none of {values.shape[1]} columns")
            values = values[:, list(source.permutation)]
        bias = biases[place].weight.read() if biases else np.zeros(values.shape[0], np.float32)
        if bias.shape != values.shape[:1]:
            raise CheckpointError(
                f"{biases[place].weight.origin} is {list(bias.shape)}, for {list(values.shape)} weights"
            )
        layers.append(Layer(np.ascontiguousarray(values), bias, weight.origin))
    return layers


def _matrix(weight: Weight) -> Floats:
    if len(weight.shape) != 2:
        raise CheckpointError(f"{weight.origin} is {list(weight.shape)}, and no matrix")
    return weight.read()


def _our_inputs(order: Sequence[Order], fields: int, dim: int) -> Int64s:
    """Which column of a layer after the interaction is ours, [dim + pairs]: the dense vector, then the lower triangle.

    Its upper triangle, row by row, has the pairs in another order.
    """
    start, places = 0, {}
    for block in order:
        places[block] = start
        start += dim if block == "dense" else fields * (fields + 1) // 2
    rows, columns = np.tril_indices(fields + 1, -1)
    if "upper" in places:
        upper = np.zeros((fields + 1, fields + 1), np.int64)
        upper[np.triu_indices(fields + 1, 1)] = np.arange(len(rows))
        pairs = places["upper"] + upper[columns, rows]
    else:
        pairs = places["lower"] + np.arange(len(rows))
    return np.concatenate([places["dense"] + np.arange(dim), pairs])


def _why_wide(layer: Layer, fields: int, dim: int, wide: int) -> str:
    inputs, nodes = layer.weight.shape[1], fields + 1
    known = {
        nodes * dim: ", those of an interaction that concatenates (cat)",
        dim + nodes * (nodes + 1) // 2: ", those of an interaction of each vector with itself too",
    }
    why = known.get(inputs, "")
    return (
        f"{layer.origin} takes {inputs} inputs{why}; the first of {nodes} vectors of {dim} and the dot products of all "
        f"are {wide}"
    )
