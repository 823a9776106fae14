"""`raw`: numbers reach the model as they come, and what is missing as NaN. Of modules that are somebody's own."""

from collections.abc import Sequence
from typing import Literal

from thimble.models.hashing import Floats
from thimble.models.transforms.base import BaseTransform


class RawTransform(BaseTransform):
    """Nothing is done with them."""

    kind: Literal["raw"] = "raw"

    def check(self, columns: int) -> None:
        """It goes with all."""

    def width(self, columns: int) -> int:
        return columns

    def apply(self, dense: Floats) -> Floats:
        return dense

    def figures(self, names: Sequence[str]) -> list[str]:
        return []

    def __str__(self) -> str:
        return f"{self.kind}: as they come, a missing number as NaN"
