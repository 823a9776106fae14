from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from testing.clicks import CLICK_SPEC, lines, write_lines
from thimble.export.clicks import frequent_ids
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.frequent_ids import IdCounts
from thimble.export.clicks.frequent_ids import frequent_ids as frequent
from thimble.export.clicks.rows import Rows


@pytest.mark.parametrize("block", [1, 7, 1 << 20])
def test_ids_are_counted_over_all_blocks(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frequent_ids, "BLOCK", block)
    random = np.random.default_rng(0)
    columns = [random.zipf(1.3, rows) % (1 << 40) for rows in (0, 1, 500, 3, 2000)]
    counts, expected = IdCounts(), Counter(i for column in columns for i in column.tolist())
    for column in columns:
        counts.add(column)
    for least in (1, 2, 5, 10_000):
        assert counts.at_least(least).tolist() == sorted(i for i, times in expected.items() if times >= least)


def test_ids_that_come_once_are_left_out_and_missing_ones_are_not(tmp_path: Path) -> None:
    rows = [*lines(5), *lines(3), "1\t1\t2\t\t\t"]
    source = FileClicks([write_lines(tmp_path / "clicks", rows)], CLICK_SPEC)
    every = Rows(source, 0, source.count())
    ints, hexes, strings = frequent(every, [None] * 3)
    assert ints.tolist() == hexes.tolist() == [0, 1, 2]
    assert len(strings) == 4
    assert strings[0] == 0
    assert [len(ids) for ids in frequent(every, [None] * 3, least=1)] == [5, 5, 6]
    assert [ids.tolist() for ids in frequent(Rows(source, 3, 5), [None] * 3)] == [[0]] * 3


def test_of_more_ids_than_are_counted_the_rarest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frequent_ids, "BLOCK", 100)
    random, counts = np.random.default_rng(0), IdCounts(most=200)
    columns = [
        np.where(random.random(150) < 0.5, random.integers(0, 10, 150), np.arange(150) + 1000 * i) for i in range(20)
    ]
    for column in columns:
        counts.add(column)
    counts.count()
    assert len(counts.ids) <= 200
    assert counts.times.sum() + counts.forgotten == 20 * 150
    expected = [int(sum((column == i).sum() for column in columns)) for i in range(10)]
    assert counts.times_of(np.arange(10)).tolist() == expected
    assert counts.times_of(np.array([1 << 50])).tolist() == [0]
