import numpy as np
import pytest

from thimble.export.plan.traffic import Traffic, grouped, together


def test_groups_keep_ids_and_reads() -> None:
    rates = np.arange(1.0, 100_001) ** -1.1
    traffic = grouped(np.append(rates, 0.0), np.append(np.full(100_000, 2.0), 9.0))
    assert len(traffic.rates) < 2000
    assert traffic.total_ids == pytest.approx(200_000)
    assert traffic.reads == pytest.approx(2 * rates.sum())
    assert (np.diff(traffic.rates) > 0).all()


def test_ids_that_all_come_as_often() -> None:
    traffic = grouped(np.full(5000, 0.5), np.ones(5000))
    assert [traffic.total_ids, traffic.reads] == pytest.approx([5000, 2500])


def test_different_ids_in_so_many_rows() -> None:
    random = np.random.default_rng(0)
    rates = np.arange(1.0, 2001) ** -0.8
    rates /= rates.sum()
    seen = [len(np.unique(random.choice(2000, 3000, p=rates))) for _ in range(20)]
    assert grouped(rates, np.ones(2000)).distinct(np.array([3000.0]))[0] == pytest.approx(np.mean(seen), rel=0.02)


def test_fields_together() -> None:
    both = together([Traffic(np.array([0.5]), np.array([2.0])), Traffic(np.array([0.25]), np.array([4.0]))])
    assert [both.total_ids, both.reads] == [6, 2]
