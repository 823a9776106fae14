"""The embeddings of a model's fields, those of bags pooled. This numpy definition is what every backend computes."""

from collections.abc import Sequence

import numpy as np

from thimble.models.bags import Bag, widths
from thimble.models.hashing import Floats, Int64s
from thimble.models.schemes.base import EmbeddingScheme, Weights


def pooled_lookup(
    embedding: EmbeddingScheme, weights: Weights, ids: Int64s, dim: int, bags: Sequence[Bag | None]
) -> Floats:
    """ids [batch, slots] -> [batch, fields, dim] in float32. A field has a slot, or as many as its bag has values.

    Bags' embeddings are added up in the order of their ids. Another order may round otherwise: backends equal each
    other bit for bit where nothing is summed, and up to that rounding where it is.
    """
    if not any(bags):
        return embedding.lookup(weights, ids, dim)
    columns = np.array(widths(bags))
    starts = np.cumsum(columns) - columns
    in_bag = np.array([bag is not None for bag in bags])
    is_max = np.array([bag is not None and bag.pooling == "max" for bag in bags])
    is_mean = np.array([bag is not None and bag.pooling == "mean" for bag in bags])
    largest: Floats = np.full((len(ids), len(bags), dim), -np.inf, np.float32)
    nothing = np.float32(-0.0)  # which changes no number that it is added to
    total: Floats = np.full_like(largest, nothing)
    count: Int64s = np.zeros((len(ids), len(bags)), np.int64)
    for nth in range(columns.max()):  # id of each field
        column: Int64s = np.where(nth < columns, ids[:, starts + np.minimum(nth, columns - 1)], 0)
        there = np.where(in_bag, column != 0, nth == 0)
        read = embedding.lookup(weights, column, dim)
        total += np.where(there[..., None], read, nothing)
        largest = np.where(there[..., None], np.maximum(largest, read), largest)
        count += there
    mean = total / np.maximum(count, 1).astype(np.float32)[..., None]
    pooled = np.where(is_mean[:, None], mean, np.where(is_max[:, None], largest, total))
    found: Floats = np.where(count[..., None] > 0, pooled, np.float32(0)).astype(np.float32)
    return found
