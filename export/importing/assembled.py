"""What every architecture's part of an import makes."""

from typing import NamedTuple

from thimble.models.architectures import Architecture
from thimble.models.hashing import Floats


class Assembled(NamedTuple):
    """All of a model but its embeddings: its sizes, its weights by their names in the torch module.

    `dim` is that of embeddings, a first-order weight at their end not counted, and `numbers` how many it takes.
    """

    architecture: Architecture
    weights: dict[str, Floats]
    dim: int
    numbers: int
