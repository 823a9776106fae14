"""What ids lose in a shared memory, computed and tried out."""

import numpy as np
import pytest

from thimble.export.training.sharing import POWER, PRIOR, Traffic
from thimble.models.hashing import Int64s


def zipf(ids: int, reads: int) -> Int64s:
    shares = 1 / np.arange(1, ids + 1)
    drawn: Int64s = np.maximum(1, (reads * shares / shares.sum()).astype(np.int64))
    return drawn


@pytest.mark.parametrize(("slots", "chunks", "rows"), [(50, 1, 0), (400, 2, 0), (400, 2, 40), (30, 4, 5)])
def test_it_is_what_random_places_would_lose(slots: int, chunks: int, rows: int) -> None:
    reads = zipf(300, 20_000)
    cold, tries, random = reads[rows:], 400, np.random.default_rng(0)
    share = np.zeros(len(cold))
    for _ in range(tries):
        places = random.integers(0, slots, (len(cold), chunks))
        total = np.bincount(places.ravel(), np.repeat(cold, chunks), slots)
        share += cold / (total[places[:, 0]] + PRIOR)
    expected = (cold * (1 - share / tries) ** POWER).sum()
    expected += (reads[:rows] * (PRIOR / (reads[:rows] + PRIOR)) ** POWER).sum()
    assert Traffic(reads).lost(rows, slots, chunks) == pytest.approx(expected, rel=0.02)


def test_rows_for_all_and_no_ids_at_all() -> None:
    reads = np.full(100, 90)
    assert Traffic(reads).lost(100, 10, 2) == pytest.approx(9000 * (PRIOR / (90 + PRIOR)) ** POWER, rel=0.05)
    assert Traffic(reads[:0]).lost(0, 10, 2) == 0


def test_ids_that_came_once_take_room_though_they_are_not_known_by_name() -> None:
    reads = zipf(300, 20_000)
    known = Traffic(np.append(reads, np.ones(500, np.int64))).lost(20, 200, 2)
    assert Traffic(reads, once=500).lost(20, 200, 2) == pytest.approx(known, rel=1e-6)
    assert Traffic(reads).lost(20, 200, 2) < known
