"""How many rows there is room for: bags make rows heavy, and a few bytes of a request can stand for empty ones."""

from thimble.models.spec import ModelSpec


def rows_within(spec: ModelSpec, rows: int, max_bytes: int) -> int:
    """As many of so many rows, one at least, as the ids of their bags weigh no more than `max_bytes`.

    All of them for a model without bags.
    """
    bags = 8 * sum(bag.values for bag in spec.bags if bag)
    return max(min(rows, max_bytes // bags), 1) if bags else rows
