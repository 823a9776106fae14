"""How often ids are read: all that the formulas of `thimble.export.plan.sharing` need to know of clicks."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

# Of many ids with rates of their own, so many groups of about the same rate are kept.
_BINS = 1024


class Traffic(NamedTuple):
    """Ids in groups of the same rate, those of all fields together: float64 [groups] each.

    `rates` are an id's reads a row, above 0; `ids` says how many ids a group has.
    """

    rates: Doubles
    ids: Doubles

    @property
    def total_ids(self) -> float:
        """Different ids that are read."""
        return float(self.ids.sum())

    @property
    def reads(self) -> float:
        """Ids that a row reads."""
        return float(self.rates @ self.ids)

    def distinct(self, rows: Doubles) -> Doubles:
        """Different ids that so many rows are expected to read, [...] -> [...]: the sum of 1 - exp(-rows rate)."""
        unread = -np.expm1(-np.multiply.outer(rows, self.rates))
        distinct: Doubles = unread @ self.ids
        return distinct


def grouped(rates: Doubles, ids: Doubles) -> Traffic:
    """Traffic of ids with any rates, in groups that keep the number of ids and of reads. Rates of 0 are left out."""
    rates, ids = rates[rates > 0], ids[rates > 0]
    if len(rates) <= _BINS:
        return Traffic(rates, ids)
    logs = np.log(rates)
    width = max((logs.max() - logs.min()) / _BINS, np.finfo(np.float64).tiny)
    group = np.minimum((logs - logs.min()) / width, _BINS - 1).astype(np.int64)
    count: Doubles = np.bincount(group, ids, _BINS).astype(np.float64, copy=False)
    reads: Doubles = np.bincount(group, ids * rates, _BINS).astype(np.float64, copy=False)
    return Traffic(reads[count > 0] / count[count > 0], count[count > 0])


def together(fields: Sequence[Traffic]) -> Traffic:
    """The traffic of several fields as one."""
    return grouped(np.concatenate([field.rates for field in fields]), np.concatenate([field.ids for field in fields]))
