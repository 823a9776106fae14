"""The bound on inner products of rows, against rows in the project's own `block` memory."""

import math

import numpy as np
import pytest

from thimble.export.plan.projection import FAILURE, MOST_SLOTS, kept_within, needed_slots
from thimble.models.hashing import Int64s
from thimble.models.inputs import Categorical
from thimble.models.schemes.base import Sizes
from thimble.models.schemes.block import BlockEmbedding

FIELDS, CHUNKS, ROWS = 8, 4, 100
ROW_CHUNKS = FIELDS * CHUNKS


def furthest(ids: Int64s, slots: int, seed: int) -> float:
    """By how much an inner product of two of the rows differs from that in full tables at the most, over m."""
    fields = [Categorical(name=f"f{f}", kind="int", rows=1 << 40) for f in range(FIELDS)]
    of = BlockEmbedding.create("block", Sizes(fields, 4 * CHUNKS, slots * 16, "fp32", 4, seed))
    starts = of.hash_map(4 * CHUNKS).starts(ids).reshape(ROWS, ROW_CHUNKS) // 4
    reads = np.zeros((ROWS, slots), np.float32)
    np.put_along_axis(reads, starts, 1, axis=1)
    in_memory = reads @ reads.T
    in_tables = CHUNKS * (ids[:, None] == ids[None]).sum(axis=2)
    return float(np.abs(in_memory - in_tables).max()) / ROW_CHUNKS


def rows(seed: int) -> Int64s:
    """Some ids come often, and some rows have all ids in common but one."""
    random = np.random.default_rng(seed)
    ids = random.zipf(1.3, (ROWS, FIELDS)) % (1 << 30)
    ids[1::2, 1:] = ids[::2, 1:]
    return ids


@pytest.mark.parametrize("epsilon", [0.15, 0.25, 0.5])
def test_inner_products_are_kept_within_the_bound(epsilon: float) -> None:
    slots = needed_slots(epsilon, ROW_CHUNKS, ROWS)
    assert slots is not None
    assert max(furthest(rows(seed), slots, seed) for seed in range(10)) <= epsilon


@pytest.mark.parametrize("epsilon", [0.15, 0.25, 0.5])
def test_the_bound_asks_for_no_more_than_some_times_what_it_takes(epsilon: float) -> None:
    slots = needed_slots(epsilon, ROW_CHUNKS, ROWS)
    assert slots is not None
    assert max(furthest(rows(seed), slots // 12, seed) for seed in range(10)) > epsilon


@pytest.mark.parametrize("row_chunks", [6, 32, 104, 5000])
@pytest.mark.parametrize("count", [1, 1000, 4_373_472_329])
@pytest.mark.parametrize("epsilon", [0.1, 0.5, 0.99])
def test_both_ways_of_asking_and_the_closed_form(row_chunks: int, count: int, epsilon: float) -> None:
    slots = needed_slots(epsilon, row_chunks, count)
    if slots is None:
        assert kept_within(MOST_SLOTS, row_chunks, count) > epsilon
        return
    assert kept_within(slots, row_chunks, count) == pytest.approx(epsilon, rel=1e-2)
    assert slots <= MOST_SLOTS
    closed = math.e * row_chunks / epsilon * (count * (count + 1) / FAILURE) ** (1 / (epsilon * row_chunks))
    assert slots <= closed * (1 + 1e-9) + 1


@pytest.mark.parametrize(("epsilon", "row_chunks"), [(0.01, 2), (0.01, 6), (0.1, 6)])
def test_more_than_any_memory_is_no_number(epsilon: float, row_chunks: int) -> None:
    assert needed_slots(epsilon, row_chunks, 4_373_472_329) is None


def test_a_memory_that_is_too_small_keeps_nothing() -> None:
    assert kept_within(1, 104, 1000) == 1
    assert kept_within(104, 104, 1000) == 1
    assert kept_within(110, 2, 10**9) == 1
