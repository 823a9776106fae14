"""How many values rows have of a bag, and how many it should have room for."""

from collections import Counter
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.types as types

from thimble.export.clicks.arrow_types import is_text
from thimble.export.clicks.bag_columns import bag_lengths, bag_values
from thimble.export.clicks.encoding import values_of

LOOKED_AT = 1 << 18
"""Rows: of several files as many of each, from its beginning."""
WHOLE_ROWS = 0.99
MOST_CHOSEN = 64
_WEIGHTED = r":[0-9]*\.[0-9]+$"


class BagUse:
    """A bag in some rows: how many values they have, blank ones left out, and whether these look weighted."""

    def __init__(self) -> None:
        self._rows_of = Counter[int]()  # of each length
        self.weighted: str | None = None
        """A value, if after each that there is stands a colon and a decimal fraction, as in `a:0.5|b:0.5`."""
        self._may_be_weighted = True

    def add(self, column: Any) -> None:
        """More rows, as `readable_column` makes them."""
        lengths, times = np.unique(bag_lengths(column), return_counts=True)
        self._rows_of.update(dict(zip(lengths.tolist(), times.tolist(), strict=True)))
        if self._may_be_weighted and len(values := bag_values(column)):
            self._may_be_weighted = _are_weighted(values)
            self.weighted = values_of(values[:1])[0] if self._may_be_weighted else None

    @property
    def rows(self) -> int:
        return self._rows_of.total()

    @property
    def values(self) -> int:
        return sum(length * rows for length, rows in self._rows_of.items())

    @property
    def mean(self) -> float:
        """Values a row."""
        return self.values / max(1, self.rows)

    def cut_share(self, room: int) -> float:
        """Of all values, those for which bags of so many have no room."""
        cut = sum(max(0, length - room) * rows for length, rows in self._rows_of.items())
        return cut / max(1, self.values)

    def suited(self) -> int:
        """The fewest values that hold all of WHOLE_ROWS of the rows, and MOST_CHOSEN at most: rare rows are long."""
        whole = 0
        for length, rows in sorted(self._rows_of.items()):
            whole += rows
            if whole >= WHOLE_ROWS * self.rows:
                return min(max(1, length), MOST_CHOSEN)
        return 1


def _are_weighted(values: Any) -> bool:
    if types.is_dictionary(values.type):
        values = values.dictionary_decode()
    return is_text(values.type) and bool(pc.all(pc.match_substring_regex(values, _WEIGHTED)).as_py())
