import numpy as np
import pytest

from thimble.export.clicks.zipf import Zipf
from thimble.export.plan.id_sample import IdSample
from thimble.models.hashing import Int64s


def sampled(ids: Int64s, room: int, parts: int = 50) -> IdSample:
    sample = IdSample(room)
    for part in np.array_split(ids, parts):
        sample.add(part)
    return sample


def test_few_ids_are_counted_exactly() -> None:
    ids = np.repeat([0, 5, 1 << 59], [1, 2, 7])
    np.random.default_rng(0).shuffle(ids)
    traffic = sampled(ids, 4, parts=10).traffic(10)
    assert traffic.rates.tolist() == pytest.approx([0.1, 0.2, 0.7])
    assert traffic.ids.tolist() == [1, 1, 1]
    assert sampled(ids, 4).once() == 1


def test_nothing() -> None:
    assert IdSample().traffic(1).total_ids == 0
    assert IdSample().once() == 0


@pytest.mark.parametrize("order", ["drawn", "rising"])
def test_many_ids_are_right_on_average(order: str) -> None:
    """Ids that come late are as well counted as those that come early."""
    ids = Zipf(1.0, 200_000).draw(np.random.default_rng(1).random(300_000))
    if order == "rising":
        ids.sort()
    _, times = np.unique(ids, return_counts=True)
    traffic, sample = sampled(ids, 4096).traffic(len(ids)), sampled(ids, 4096)
    assert traffic.total_ids == pytest.approx(len(times), rel=0.06)
    assert traffic.reads == pytest.approx(1, rel=0.04)
    assert sample.once() == pytest.approx((times == 1).sum(), rel=0.08)
    assert traffic.rates.max() == pytest.approx(times.max() / len(ids))
    expected = -np.expm1(-5000 * times / len(ids)).sum()
    assert traffic.distinct(np.array([5000.0]))[0] == pytest.approx(expected, rel=0.04)


def test_memory_is_bounded() -> None:
    sample = IdSample(1000)
    for part in range(100):
        sample.add(np.arange(part * 5000, (part + 1) * 5000))
        assert sum(array.nbytes for array in vars(sample).values() if isinstance(array, np.ndarray)) <= 24 * 1000
    assert sample.traffic(500_000).total_ids == pytest.approx(500_000, rel=0.2)
