"""Layers that several architectures have: their sizes, and what they compute, in numpy.

Their torch modules are in `thimble.models.nn.layers`.
"""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from thimble.models.base import Positive
from thimble.models.hashing import Floats
from thimble.models.schemes.base import Weights

HIDDEN = (64,)
"""Hidden widths of an MLP beside which there is another one, where nobody says otherwise."""
HIDDEN_ALONE = (64, 64)
"""Those of a model's only MLP: as many layers, so that there are inner ones, which int8 is for."""


OverArch = Annotated[list[Positive], Field(min_length=1)]
"""Layer widths of the MLP that makes the logits, the last layer's outputs: one for each of the model's answers."""


def mlp(weights: Weights, name: str, widths: Sequence[int], x: Floats, beside: Floats | None = None) -> Floats:
    """Linear layers with a ReLU between two: [rows, widths[-1]]. What is `beside` [rows, n] goes into the last one."""
    for i in range(len(widths)):
        x = x if i == 0 else np.maximum(x, 0)
        if beside is not None and i == len(widths) - 1:
            x = np.concatenate([x, beside], axis=1)
        x = linear(weights, f"{name}.{2 * i}", x)
    return x


def as_logits(outputs: Floats) -> Floats:
    """Of a last layer's outputs [rows, heads]: the same, or [rows] of one answer."""
    return outputs[:, 0] if outputs.shape[1] == 1 else outputs


def linear(weights: Weights, name: str, x: Floats) -> Floats:
    """One layer, [rows, outputs]."""
    result: Floats = x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]
    return result


def first_layer(name: str) -> str:
    """What an MLP's first linear layer is called."""
    return f"{name}.0"


def last_layer(name: str, widths: Sequence[int]) -> str:
    """What an MLP's last linear layer is called."""
    return f"{name}.{2 * (len(widths) - 1)}"


def concatenated(*parts: Floats) -> Floats:
    """Parts [rows, n] or [rows, n, dim] side by side: [rows, width]."""
    return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)


def first_order(embeddings: Floats) -> tuple[Floats, Floats]:
    """Embeddings [rows, fields, dim] in two: vectors [rows, fields, dim - 1], and the sum of the last weights.

    Such a weight is its id's first-order weight. The sum is [rows, 1], and without fields there is none: [rows, 0].
    """
    weights = embeddings[..., -1]
    return embeddings[..., :-1], weights.sum(axis=1, keepdims=True) if weights.shape[1] else weights


def number_vectors(weights: Weights, numbers: Floats) -> Floats:
    """Each number [rows, numbers] times a vector of its own: [rows, numbers, dim]."""
    result: Floats = numbers[..., None] * weights["number_vectors.weight"]
    return result


def widths_in_words(*parts: Sequence[int] | str) -> str:
    """Parts that have widths, or are words already, in one line."""
    return " | ".join(part if isinstance(part, str) else " ".join(map(str, part)) for part in parts if part)
