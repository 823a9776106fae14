"""How well a shared memory keeps the inner products of rows: a random-projection bound of ours (docs/theory.md).

Take a row as the places that it reads, a vector of 0 and 1. In full tables the inner product of two rows counts the
chunks of the ids that they have in common; in a memory it counts the slots that both read. With m chunks a row the
bound says that among n rows all these products, and all squared norms, are kept up to `epsilon` m, but for a chance
of `failure` in the draw of the hash constants. It is for `block`, whose chunks lie independently.
"""

import math

FAILURE = 0.01
MOST_SLOTS = 1 << 60
"""No memory that could be built has more."""


def divergence(share: float, chance: float) -> float:
    """Kullback and Leibler's, of a coin with probability `share` from one with `chance`, in nats. Both in (0, 1)."""
    return share * math.log(share / chance) + (1 - share) * math.log((1 - share) / (1 - chance))


def needed_slots(epsilon: float, row_chunks: int, rows: int, failure: float = FAILURE) -> int | None:
    """The slots with which all inner products are kept up to `epsilon`, in (0, 1). None: more than MOST_SLOTS."""
    surprise = _surprise(row_chunks, rows, failure)
    # of the logarithm of the chance that a chunk meets another by accident
    low, high = math.log(row_chunks / MOST_SLOTS), math.log(epsilon)
    if divergence(epsilon, math.exp(low)) < surprise:
        return None
    for _ in range(100):
        middle = (low + high) / 2
        if divergence(epsilon, math.exp(middle)) >= surprise:
            low = middle
        else:
            high = middle
    return math.ceil(row_chunks * math.exp(-low))


def kept_within(slots: int, row_chunks: int, rows: int, failure: float = FAILURE) -> float:
    """The least `epsilon` that the bound gives for so many slots; 1, which says nothing, where there is none below."""
    chance = row_chunks / slots
    surprise = _surprise(row_chunks, rows, failure)
    if chance >= 1 or -math.log(chance) < surprise:  # the divergence of 1
        return 1.0
    low, high = chance, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if divergence(middle, chance) >= surprise else (middle, high)
    return high


def _surprise(row_chunks: int, rows: int, failure: float) -> float:
    """What the divergence has to be: each of n(n+1)/2 products may be too large or too small."""
    return math.log(rows * (rows + 1) / failure) / row_chunks
