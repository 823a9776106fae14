"""The constant that an epoch has to beat: one score for every row, the base rate."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from thimble.models.nn.recommender import Recommender


def make_constant(model: Recommender, logit: float) -> None:
    """Have a model score every row the same. All but its last layer stays as it is."""
    with torch.no_grad():
        model.last_layer.weight.zero_()
        model.last_layer.bias.fill_(logit)


@contextmanager
def as_constant(model: Recommender, logit: float) -> Iterator[None]:
    """Have a model score every row the same meanwhile."""
    parameters = list(model.last_layer.parameters())
    before = [parameter.detach().clone() for parameter in parameters]
    make_constant(model, logit)
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, value in zip(parameters, before, strict=True):
                parameter.copy_(value)
