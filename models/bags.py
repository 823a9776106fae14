"""Multi-valued features: what a bag of ids is."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from thimble.models.base import Frozen

MOST_VALUES: Final = 1024
"""That a bag may have: a row of 26 of them weighs 213 kB."""

Pooling = Literal["sum", "mean", "max"]


class Bag(Frozen):
    """How a multi-valued feature is read: at most so many `values` a row, whose embeddings are pooled into one.

    Of a longer list the first or the last ones are kept; the last ones are the newest where it is in the order of time.
    In text a `separator` stands between values.

    In the tensor of ids a bag has as many columns, filled up with 0, which in a bag is no id: it reads nothing. (In a
    single-valued field 0 is a missing id, which has an embedding.) The pooled embedding of an empty bag is zero, and a
    mean is that of the ids that are there.
    """

    values: Annotated[int, Field(gt=0, le=MOST_VALUES)]
    pooling: Pooling
    keep: Literal["first", "last"] = "first"
    # nothing that values of other kinds than text are written with, or that is part of how files and JSON are written
    separator: Annotated[str, Field(pattern=r"^[^\x00-\x1f0-9a-zA-Z\"\\+-]$")] = "|"

    def __str__(self) -> str:
        """The first 8 values, mean."""
        return f"the {self.keep} {self.values:,} value{'' if self.values == 1 else 's'}, {self.pooling}"

    def kept(self, values: Sequence[Any]) -> Sequence[Any]:
        """Those that a bag has room for."""
        if len(values) <= self.values:
            return values
        return values[: self.values] if self.keep == "first" else values[-self.values :]


def widths(bags: Sequence[Bag | None]) -> list[int]:
    """The columns of ids that each field has, None being a single-valued one: the most ids that a row reads there."""
    return [bag.values if bag else 1 for bag in bags]
