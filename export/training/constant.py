"""The constant that an epoch has to beat: one score for every row, the base rate."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from thimble.models.nn.recommender import Recommender

Logits = float | tuple[float, ...]
"""Of a model's answer, or of several one for each."""


def make_constant(model: Recommender, logits: Logits) -> None:
    """Have a model give every row the same logits, one for each answer. All but its last layer stays as it is."""
    with torch.no_grad():
        model.last_layer.weight.zero_()
        model.last_layer.bias.copy_(torch.tensor(logits))


@contextmanager
def as_constant(model: Recommender, logits: Logits) -> Iterator[None]:
    """Have a model give every row the same logits meanwhile."""
    parameters = list(model.last_layer.parameters())
    before = [parameter.detach().clone() for parameter in parameters]
    make_constant(model, logits)
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, value in zip(parameters, before, strict=True):
                parameter.copy_(value)
