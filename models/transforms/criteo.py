"""`criteo`: the recipe for Criteo's logs, whose numbers are counts."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from thimble.models.hashing import Floats
from thimble.models.transforms.base import BaseTransform


class CriteoTransform(BaseTransform):
    """ln(max(x, 0) + 1). A missing number counts as 0, and so does one below 0."""

    kind: Literal["criteo"] = "criteo"

    def check(self, columns: int) -> None:
        pass

    def width(self, columns: int) -> int:
        return columns

    def apply(self, dense: Floats) -> Floats:
        logs: Floats = np.log(np.maximum(np.where(np.isnan(dense), 0, dense), 0) + 1)
        return logs

    def figures(self, names: Sequence[str]) -> list[str]:
        return []

    def __str__(self) -> str:
        return f"{self.kind}: ln(max(x, 0) + 1), a missing number as 0"
