"""A DLRM out of a checkpoint, its layers in our order."""

from collections.abc import Sequence

import numpy as np

from thimble.export.importing.assembled import Assembled
from thimble.export.importing.layers import Layer, Parts, following, named, one_logit, read_layers
from thimble.export.importing.parameters import Block
from thimble.export.importing.weights import CheckpointError
from thimble.models.architectures.dlrm import DlrmArchitecture
from thimble.models.hashing import Int64s

PADDED = 8
"""NVIDIA's interaction has zeros at the end, so that its width is a multiple of this."""


def dlrm(found: Parts, fields: int, dim: int | None) -> Assembled:
    """CheckpointError: its layers do not follow from one another, or take another interaction than dot products.

    `dim` is the width of the tables, None where a file has none: then it is that of the dense vector. FuxiCTR has
    models without a dense vector. Ours has one that is all zeros then.
    """
    dense = following(read_layers(found, "dense_arch"))
    over = read_layers(found, "over_arch")
    dim = dense[-1].outputs if dense else dim
    assert dim
    order: Sequence[Block] = found["over_arch.weight"][0].source.inputs or ("dense", "lower")
    own = found["over_arch.weight"][0].source.permutation is not None
    over[0] = _ours(over[0], order, fields, dim, own, bool(dense))
    over = following([*over, *read_layers(found, "over_arch.last")])
    one_logit(over[-1])
    weights = named("dense_arch", dense) | named("over_arch", over)
    if not dense:
        weights["dense_arch.vector"] = np.zeros(dim, np.float32)
    architecture = DlrmArchitecture(
        dense_arch=[layer.outputs for layer in dense], over_arch=[layer.outputs for layer in over]
    )
    return Assembled(architecture, weights, dim, dense[0].inputs if dense else 0)


def _ours(layer: Layer, order: Sequence[Block], fields: int, dim: int, permuted: bool, dense: bool) -> Layer:
    """The first layer on top, its inputs in our order: the dense vector, then the lower triangle of products."""
    nodes = fields + dense
    wide = dim * dense + nodes * (nodes - 1) // 2
    wide += -wide % PADDED if "padding" in order else 0
    if layer.inputs != wide:
        raise CheckpointError(_why_wide(layer, nodes, dim, wide))
    if permuted:
        return layer
    columns = _our_inputs(order, fields, dim, dense)
    with_zeros = np.append(layer.weight, np.zeros((layer.outputs, 1), np.float32), axis=1)
    return layer._replace(weight=np.ascontiguousarray(with_zeros[:, columns]))


def _our_inputs(order: Sequence[Block], fields: int, dim: int, dense: bool) -> Int64s:
    """Which of its columns is ours, [dim + pairs], or -1 for what it does not take.

    The upper triangle, row by row, has the pairs in another order than the lower one; `upper dense last` has the dense
    vector after all embeddings.
    """
    place, start = {}, 0
    nodes = fields + dense
    pairs = nodes * (nodes - 1) // 2
    for block in order:
        place[block] = start
        start += dim * dense if block == "dense" else pairs
    products = np.full((fields + 1, fields + 1), -1)  # of the dense vector and the embeddings
    own = np.arange(pairs)
    if "upper dense last" in place:
        nodes_in_order = [*range(1, fields + 1), *([0] if dense else [])]
        rows, columns = (np.array(nodes_in_order)[side] for side in np.triu_indices(nodes, 1))
        own += place["upper dense last"]
    else:
        rows, columns = np.triu_indices(nodes, 1) if "upper" in place else np.tril_indices(nodes, -1)
        own += place["upper" if "upper" in place else "lower"]
    products[rows, columns] = products[columns, rows] = own
    vector = place["dense"] + np.arange(dim) if dense else np.full(dim, -1)
    return np.concatenate([vector, products[np.tril_indices(fields + 1, -1)]])


def _why_wide(layer: Layer, nodes: int, dim: int, wide: int) -> str:
    known = {
        nodes * dim: ", those of an interaction that concatenates (cat)",
        dim + nodes * (nodes + 1) // 2: ", those of an interaction of each vector with itself too",
    }
    return (
        f"{layer.origin} takes {layer.inputs} inputs{known.get(layer.inputs, '')}; the first of {nodes} vectors of "
        f"{dim} and the dot products of all are {wide}"
    )
