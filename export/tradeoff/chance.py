"""How far figures of the same model differ by chance alone."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from thimble.export.metrics.intervals import NORMAL_975

# The 97.5 % points of Student's t for 1, 2, ... degrees of freedom. Beyond, two terms of the expansion about the normal
# point (Abramowitz and Stegun, 26.7.5) are within .1 % of it.
_T_975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)


class Scatter(NamedTuple):
    """The standard deviation that seeds make, and the degrees of freedom that it is known with.

    It is pooled over models: two or three seeds of one say little, those of all together enough. The price is that the
    interval of a model whose seeds differ more than others' is too short.
    """

    deviation: float
    freedom: int

    def half_width(self, *counts: int) -> float:
        """Of the 95 % interval of the mean of so many seeds or, given two counts, of the difference of two means."""
        return student_975(self.freedom) * self.deviation * math.sqrt(sum(1 / count for count in counts))


def scatter(models: Iterable[Sequence[float]]) -> Scatter | None:
    """Of figures of models, one a seed; None where no model has two."""
    squares, freedom = 0.0, 0
    for figures in models:
        mean = math.fsum(figures) / max(1, len(figures))
        squares += math.fsum((figure - mean) ** 2 for figure in figures)
        freedom += max(0, len(figures) - 1)
    return Scatter(math.sqrt(squares / freedom), freedom) if freedom else None


def student_975(freedom: int) -> float:
    """The 97.5 % point of Student's t."""
    if freedom <= len(_T_975):
        return _T_975[freedom - 1]
    z = NORMAL_975
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
