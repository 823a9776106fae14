"""95 % intervals of what held-out rows say."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]
Bounds = tuple[float, float]

NORMAL_975 = 1.959963984540054
# Two hundred replicates tell a standard error to 5 % (Efron and Tibshirani, An Introduction to the Bootstrap, 1993).
# Each passes over all rows, so that of huge files there are fewer, which tell it to 10 %.
MOST_REPLICATES, LEAST_REPLICATES = 200, 50
REPLICATED_ROWS = 100_000_000
SEED = 0


class Estimate(NamedTuple):
    """A figure with its 95 % interval, None where there is too little to tell one from."""

    value: float
    interval: Bounds | None


def within(value: float, error: float, least: float, most: float) -> Bounds:
    """The normal interval of a value with its standard error, cut off at the least and the most that there can be."""
    half = NORMAL_975 * error
    return max(least, value - half), min(most, value + half)


def ratio(numerators: npt.NDArray[Any], denominators: npt.NDArray[Any], most: float = np.inf) -> Estimate:
    """Sum over sum of independent units, rows or groups of them; its interval lies between 0 and `most`.

    The variance is the linearised one of a ratio (Cochran, Sampling Techniques, 1977, 2.11). The denominators' sum must
    not be 0.
    """
    total = float(denominators.sum(dtype=np.float64))
    value = float(numerators.sum(dtype=np.float64)) / total
    units = len(numerators)
    if units < 2:
        return Estimate(value, None)
    residuals = numerators - value * denominators
    error = float(np.sqrt(units / (units - 1) * np.dot(residuals, residuals))) / total
    return Estimate(value, within(value, error, 0.0, most))


def bootstrap_error(statistic: Callable[[Int64s], float], groups: int, rows: int) -> float | None:
    """Standard error of a statistic when whole groups are drawn with replacement: the cluster bootstrap.

    `statistic` takes how often each group was drawn, int64 [groups]; NaN says that it is undefined for that draw. The
    draws are the same in every call. None: with fewer than two groups, or draws that have a value, nothing can be told.
    """
    if groups < 2:
        return None
    random = np.random.default_rng(SEED)
    replicates = min(MOST_REPLICATES, max(LEAST_REPLICATES, REPLICATED_ROWS // rows))
    draws = (random.integers(0, groups, groups) for _ in range(replicates))
    values = np.array([statistic(np.bincount(drawn, minlength=groups)) for drawn in draws])
    values = values[np.isfinite(values)]
    return float(values.std(ddof=1)) if len(values) > 1 else None


def share_interval(share: float, rows: float) -> Bounds:
    """Wilson's interval of a share among so many rows (Journal of the American Statistical Association, 1927)."""
    squared = NORMAL_975**2
    middle = (share + squared / (2 * rows)) / (1 + squared / rows)
    half = NORMAL_975 / (1 + squared / rows) * float(np.sqrt(share * (1 - share) / rows + squared / (4 * rows**2)))
    return max(0.0, middle - half), min(1.0, middle + half)
