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
        """The forward pass in numpy, which every backend must equal up to rounding: logits float32 [rows],
        or [rows, heads] of several answers.

        `weights` are the torch module's, `tensors` the batch's by name, the numbers transformed already (and the ids in
        `embeddings` [rows, fields, dim]).
        """

    @property
    def outputs(self) -> int:
        """How many logits it makes: the last width of its `over_arch`, and 1 where it has none."""
        return int(getattr(self, "over_arch", [1])[-1])

    def with_outputs(self, count: int) -> Self:
        """The same with so many logits. ValueError: it has no `over_arch`, which would make them."""
        widths = getattr(self, "over_arch", None)
        if widths is None:
            raise ValueError(f"architecture {self.kind} has one answer")
        return self.model_copy(update={"over_arch": [*widths[:-1], count]})

    @property
    @abstractmethod
    def float_layers(self) -> frozenset[str]:
        """Linear layers of the torch module that stay in float32 when all others are computed in integers."""

    @abstractmethod
    def __str__(self) -> str:
        """Its sizes in one line."""
