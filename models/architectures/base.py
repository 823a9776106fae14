"""What an architecture is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from thimble.models.base import Frozen
from thimble.models.hashing import Floats
from thimble.models.schemes.base import Weights


@dataclass(frozen=True, kw_only=True)
class AskedSizes:
    """What is asked of an architecture for so many columns of numbers and so many fields.

    All but these are sizes that somebody has chosen, None where the architecture chooses. `dense_arch` and `over_arch`
    are hidden widths, without the ones that follow from the rest.
    """

    numbers: int
    fields: int
    embedding_dim: int
    dense_arch: Sequence[int] | None = None
    over_arch: Sequence[int] | None = None
    cross_layers: int | None = None
    cross_rank: int | None = None


class BaseArchitecture(Frozen, ABC):
    """All of a model but its features and its embeddings: what makes logits of them.

    Its torch module is in a file of the same name in `thimble.models.nn`.
    """

    kind: str

    takes: ClassVar[frozenset[str]]
    """Which of the `AskedSizes` mean something to it."""

    @classmethod
    @abstractmethod
    def create(cls, asked: AskedSizes) -> Self:
        """One of these sizes. ValueError: they do not go together."""

    @abstractmethod
    def check(self, numbers: int, embedding_dim: int) -> None:
        """ValueError: it does not go with so many numbers, or with embeddings of this dimension."""

    @abstractmethod
    def logits(self, weights: Weights, tensors: Mapping[str, Floats], embeddings: Floats) -> Floats:
        """The forward pass in numpy, which every backend must equal up to rounding: logits float32 [rows].

        `weights` are the torch module's, `tensors` the batch's by name, the numbers transformed already (and the ids in
        `embeddings` [rows, fields, dim]).
        """

    @property
    @abstractmethod
    def float_layers(self) -> frozenset[str]:
        """Linear layers of the torch module that stay in float32 when all others are computed in integers."""

    @abstractmethod
    def __str__(self) -> str:
        """Its sizes in one line."""
