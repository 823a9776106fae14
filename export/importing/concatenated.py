"""Models whose layers take numbers and embeddings side by side: DCN V2, DeepFM, Wide & Deep, and an MLP alone.

A number is a column there, or, in FuxiCTR, as many as an embedding has: itself times a vector that was trained.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from thimble.export.importing.assembled import Assembled
from thimble.export.importing.layers import Layer, Parts, following, matrix, named, one_logit, read_layers, vector
from thimble.export.importing.weights import CheckpointError, Weight
from thimble.models.architectures.dcnv2 import DcnV2Architecture
from thimble.models.architectures.deepfm import DeepFmArchitecture
from thimble.models.architectures.mlp import MlpArchitecture
from thimble.models.architectures.wide_deep import WideDeepArchitecture
from thimble.models.hashing import Floats, Int64s


class Side(NamedTuple):
    """What stands side by side: `numbers` and `fields` in our order, and all of them in the checkpoint's.

    `vectors` [numbers, dim] are those that numbers are multiplied with, if they are.
    """

    numbers: Sequence[str]
    fields: Sequence[str]
    order: Sequence[str]
    dim: int
    vectors: Floats | None

    @property
    def width(self) -> int:
        """Of all of it in the checkpoint."""
        return len(self.numbers) * (1 if self.vectors is None else self.dim) + len(self.fields) * self.dim

    def columns(self) -> Int64s:
        """Which of the checkpoint's columns is ours, [width]: numbers first."""
        start, places = 0, {}
        for name in self.order:
            wide = 1 if name in self.numbers and self.vectors is None else self.dim
            places[name] = np.arange(start, start + wide)
            start += wide
        return np.concatenate([places[name] for name in (*self.numbers, *self.fields)])

    def ours(self, layer: Layer) -> Layer:
        """A layer that takes all of it, its inputs in our order. CheckpointError: it takes something else."""
        if layer.inputs != self.width:
            raise CheckpointError(
                f"{layer.origin} takes {layer.inputs} inputs, and {len(self.numbers)} numbers and {len(self.fields)} "
                f"embeddings of {self.dim} are {self.width}"
            )
        return layer._replace(weight=layer.weight[:, self.columns()])

    def folded(self, layer: Layer) -> Layer:
        """The same with the numbers' vectors in it, so that it takes the numbers as they are."""
        layer = self.ours(layer)
        if self.vectors is None:
            return layer
        count = self.vectors.size
        numbers = layer.weight[:, :count].reshape(layer.outputs, *self.vectors.shape)
        own = (numbers.astype(np.float64) * self.vectors).sum(axis=2).astype(np.float32)
        return layer._replace(weight=np.concatenate([own, layer.weight[:, count:]], axis=1))


def mlp(found: Parts, side: Side) -> Assembled:
    """CheckpointError, here as below: its layers do not follow from one another, or take something else."""
    layers = _with_last(found, read_layers(found, "over_arch"))
    layers[0] = side.folded(layers[0])
    one_logit(following(layers)[-1])
    architecture = MlpArchitecture(over_arch=[layer.outputs for layer in layers])
    return Assembled(architecture, named("over_arch", layers), side.dim, len(side.numbers))


def wide_deep(found: Parts, side: Side) -> Assembled:
    layers = _with_last(found, read_layers(found, "over_arch"))
    layers[0] = side.folded(layers[0])
    following(layers)
    layers[-1] = _beside(layers[-1], _first_order_weights(found, side), int(bool(side.fields)))
    architecture = WideDeepArchitecture(over_arch=[layer.outputs for layer in layers])
    return Assembled(architecture, named("over_arch", layers), side.dim, len(side.numbers))


def deepfm(found: Parts, side: Side) -> Assembled:
    layers = _with_last(found, read_layers(found, "over_arch"))
    layers[0] = side.ours(layers[0])
    following(layers)
    terms = bool(side.fields) + bool(side.fields or side.vectors is not None)
    layers[-1] = _beside(layers[-1], _first_order_weights(found, side), terms)
    architecture = DeepFmArchitecture(
        over_arch=[layer.outputs for layer in layers], number_vectors=side.vectors is not None
    )
    return Assembled(architecture, named("over_arch", layers) | _vectors(side), side.dim, len(side.numbers))


def dcnv2(found: Parts, side: Side) -> Assembled:
    dense = following(read_layers(found, "dense_arch"))
    columns = np.arange((1 + len(side.fields)) * side.dim) if dense else side.columns()
    cross = [_cross(layer, columns) for layer in _cross_layers(found)]
    deep, over = (_first_ours(read_layers(found, part), columns) for part in ("deep", "over_arch"))
    last = _with_last(found, over)[-1]
    given = (over[-1].outputs if over else len(columns)) + (deep[-1].outputs if deep else 0)
    if last.inputs != given:
        raise CheckpointError(f"{last.origin} takes {last.inputs} inputs, and the layers before it give {given}")
    if not over:  # it takes what the cross network gives as it is
        last = last._replace(weight=last.weight[:, [*columns, *range(len(columns), given)]])
    first_order = bool(found.get("first_order"))
    if first_order:
        last = _beside(last, _first_order_weights(found, side), 1)
    one_logit(last)
    weights = named("dense_arch", dense) | named("deep", deep) | named("over_arch", [*over, last])
    for number, (down, layer) in enumerate(cross):
        name = f"cross_net.{number}" if down is None else f"cross_net.{number}.1"
        weights |= {f"{name}.weight": layer.weight, f"{name}.bias": layer.bias}
        if down is not None:
            weights[f"cross_net.{number}.0.weight"] = down
    architecture = DcnV2Architecture(
        dense_arch=[layer.outputs for layer in dense],
        number_vectors=side.vectors is not None and not dense,
        first_order=first_order,
        cross_layers=len(cross),
        cross_rank=cross[0][1].inputs if cross[0][0] is not None else None,
        deep=[layer.outputs for layer in deep],
        over_arch=[*(layer.outputs for layer in over), 1],
    )
    if dense:
        return Assembled(architecture, weights, side.dim, dense[0].inputs)
    return Assembled(architecture, weights | _vectors(side), side.dim, len(side.numbers))


def _cross_layers(found: Parts) -> list[tuple[Floats | None, Layer]]:
    """The matrices of the cross network, of low rank with the one below, None else."""
    if stacked := found.get("cross.stacked"):
        weights, biases = stacked[0].weight, found["cross.stacked_bias"][0].weight
        if len(weights.shape) != 3 or not weights.shape[0] or weights.shape[1] != weights.shape[2]:
            raise CheckpointError(
                f"{weights.origin} is {list(weights.shape)}; its cross layers have to have "
                "matrices, and not vectors (DCN of 2017)"
            )
        added = vector(biases, weights.shape[0] * weights.shape[1]).reshape(weights.shape[:2])
        return [(None, Layer(weight, bias, weights.origin)) for weight, bias in zip(weights.read(), added, strict=True)]
    own, added_to, downs = (_weights(found, f"cross.{name}") for name in ("weight", "bias", "down"))
    if len(added_to) != len(own) or len(downs) not in (0, len(own)):
        raise CheckpointError(f"{own[0].origin} is one of {len(own)} cross layers, and not all of them are whole")
    layers = [_layer_of(weight, bias) for weight, bias in zip(own, added_to, strict=True)]
    if not downs:
        return [(None, layer) for layer in layers]
    narrow = [matrix(down) for down in downs]
    ranks = {*map(len, narrow), *(layer.inputs for layer in layers)}
    if len(ranks) > 1:
        raise CheckpointError(f"{layers[0].origin} and the other cross layers are not of one rank, but {sorted(ranks)}")
    return list(zip(narrow, layers, strict=True))


def _weights(found: Parts, parameter: str) -> list[Weight]:
    return [it.weight for it in found.get(parameter, ())]


def _layer_of(weight: Weight, bias: Weight) -> Layer:
    values = matrix(weight)
    return Layer(values, vector(bias, len(values)), weight.origin)


def _cross(layers: tuple[Floats | None, Layer], columns: Int64s) -> tuple[Floats | None, Layer]:
    """A cross layer with what it takes and gives in our order."""
    down, layer = layers
    taken = layer.inputs if down is None else down.shape[1]
    if (layer.outputs, taken) != (len(columns), len(columns)):
        raise CheckpointError(
            f"{layer.origin} is for {layer.outputs} numbers side by side, and the model's features are {len(columns)}"
        )
    weight, bias = layer.weight[columns], layer.bias[columns]
    if down is None:
        return None, layer._replace(weight=weight[:, columns], bias=bias)
    return down[:, columns], layer._replace(weight=weight, bias=bias)


def _first_ours(layers: list[Layer], columns: Int64s) -> list[Layer]:
    if layers:
        if layers[0].inputs != len(columns):
            raise CheckpointError(
                f"{layers[0].origin} takes {layers[0].inputs} inputs, and the model's features are {len(columns)}"
            )
        layers[0] = layers[0]._replace(weight=layers[0].weight[:, columns])
    return following(layers)


def _with_last(found: Parts, layers: list[Layer]) -> list[Layer]:
    """The layers with the one that makes the logit, and all that is added to it. There may be none before it."""
    last = read_layers(found, "over_arch.last")
    together = [*layers, *last]
    for added in found.get("logit_bias", ()):
        together[-1] = together[-1]._replace(bias=together[-1].bias + vector(added.weight, 1))
    return together


def _first_order_weights(found: Parts, side: Side) -> Floats:
    """Of the numbers, [numbers]: one tensor of all, or one a number."""
    together = found.get("number_weights")
    if together:
        weights = together[0].weight.read().ravel()
    else:
        own = {it.name: it.weight for it in found.get("first_order", ())}
        weights = np.array([vector(own[name], 1)[0] for name in side.numbers if name in own], np.float32)
    if len(weights) not in (0, len(side.numbers)):
        raise CheckpointError(f"there are first-order weights for {len(weights)} of {len(side.numbers)} numbers")
    return weights if len(weights) else np.zeros(len(side.numbers), np.float32)


def _beside(last: Layer, numbers: Floats, terms: int) -> Layer:
    """A last layer that takes the numbers and terms of the logit too."""
    one_logit(last)
    return last._replace(weight=np.concatenate([last.weight, numbers[None], np.ones((1, terms), np.float32)], axis=1))


def _vectors(side: Side) -> dict[str, Floats]:
    """Those of the numbers, by their name in the torch module."""
    return {} if side.vectors is None else {"number_vectors.weight": side.vectors}
