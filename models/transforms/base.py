"""What a transformation of numbers is."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from thimble.models.base import Frozen
from thimble.models.hashing import Floats


class NumberSample(NamedTuple):
    """What is known of a column of numbers: some of its values, float32 [values], and the share that is missing."""

    values: Floats
    missing: float


class BaseTransform(Frozen, ABC):
    """How the numbers of a row, float32 with NaN for a missing one, become what an architecture takes."""

    kind: str

    @abstractmethod
    def check(self, columns: int) -> None:
        """ValueError: it is not one for so many columns."""

    @abstractmethod
    def width(self, columns: int) -> int:
        """How many numbers it makes of so many columns."""

    @abstractmethod
    def apply(self, dense: Floats) -> Floats:
        """[rows, columns] -> [rows, width] in numpy, which every backend must equal up to rounding."""

    def suited(self, dense: Floats) -> Floats:
        """Numbers [rows, columns] that were drawn for any model, brought to the sizes that this one is for."""
        return dense

    @abstractmethod
    def figures(self, names: Sequence[str]) -> list[str]:
        """What it knows of each column, a line a column; none where all are alike."""

    @abstractmethod
    def __str__(self) -> str:
        """What it does, in one line."""
