"""Bags as people write them to the ids that they are.

A bag is text in which a separator stands between values, or a list of values. Blank and missing values are passed
over, wherever they stand, and so are blanks around a value.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from thimble.models.bags import Bag
from thimble.models.conversions import Column
from thimble.models.hashing import Int64s

_LONG = 19  # so many digits may be more than an id is


class BagColumn:
    """Rows of one feature, and of each the values that its bag keeps, all in one list. `cut` is how many it does not.

    What is cut is not looked at.
    """

    def __init__(self, bag: Bag, rows: Column) -> None:
        self._bag = bag
        found = [values_of(row, bag.separator) for row in rows]
        kept = [bag.kept(values) for values in found]
        self._lengths = np.fromiter(map(len, kept), np.int64, len(kept))
        self.values: list[Any] = [*chain.from_iterable(kept)]
        self.cut = sum(map(len, found)) - len(self.values)

    def rows_of(self, values: Int64s) -> Int64s:
        """The rows in which some of `values` stand, by their places there."""
        return np.searchsorted(np.cumsum(self._lengths), values, side="right")

    def filled(self, ids: Int64s) -> Int64s:
        """The ids of `values` -> those of the rows, [rows, bag.values], filled up with 0."""
        filled = np.zeros((len(self._lengths), self._bag.values), np.int64)
        filled[np.arange(self._bag.values) < self._lengths[:, None]] = ids
        return filled


def digits_as_integers(values: Sequence[Any]) -> list[Any]:
    """Values of bags of integers, those that are text of plain digits as integers, which are read much faster."""
    return [
        int(value) if type(value) is str and len(value) < _LONG and value.isdecimal() and value.isascii() else value
        for value in values
    ]


def values_of(row: Any, separator: str) -> Sequence[Any]:
    """The values of a row that are no blanks. One that is neither text nor a list is a bag of one."""
    if isinstance(row, str):
        return [stripped for value in row.split(separator) if (stripped := value.strip())]
    if row is None:
        return ()
    if not isinstance(row, list):
        return (row,)
    values = [value.strip() if isinstance(value, str) else value for value in row]
    return [value for value in values if value is not None and value != ""]
