"""The ids that rows read, field by field, as they are counted."""

from collections.abc import Sequence
from itertools import accumulate, pairwise

from thimble.models.bags import Bag, widths
from thimble.models.hashing import Int64s


def ids_by_field(ids: Int64s, bags: Sequence[Bag | None]) -> list[Int64s]:
    """ids [rows, slots] -> those of each field, [ids], in the order of rows.

    In a single-valued field 0 is an id like any other, that of what is missing; in a bag there is none.
    """
    ends = pairwise(accumulate(widths(bags), initial=0))
    fields = [ids[:, start:end].reshape(-1) for start, end in ends]
    return [of_field[of_field != 0] if bag else of_field for bag, of_field in zip(bags, fields, strict=True)]
