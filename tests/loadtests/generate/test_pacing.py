import numpy as np
import pytest

from thimble.loadtests.generate.pacing import arrivals


def test_even_ones_are_a_rate_apart_and_several_generators_take_turns() -> None:
    assert arrivals(4, 1, "even", (0,)) == [0, 0.25, 0.5, 0.75]
    shares = [arrivals(2, 1, "even", (0,), shift=share / 2) for share in range(2)]
    assert sorted(shares[0] + shares[1]) == [0, 0.25, 0.5, 0.75]


def test_poisson_ones_are_as_many_as_offered_and_independent() -> None:
    due = np.array(arrivals(1000, 20, "poisson", (0, 1)))
    assert len(due) == 20_000
    assert (np.diff(due) >= 0).all()
    assert 0 <= due[0] < due[-1] < 20
    gaps = np.diff(due) * 1000
    assert gaps.mean() == pytest.approx(1, rel=0.02)
    assert gaps.std() == pytest.approx(1, rel=0.05)  # an exponential distribution's is its mean


def test_a_seed_decides_them() -> None:
    assert arrivals(50, 1, "poisson", (3, 1)) == arrivals(50, 1, "poisson", (3, 1))
    assert arrivals(50, 1, "poisson", (3, 1)) != arrivals(50, 1, "poisson", (3, 2))
