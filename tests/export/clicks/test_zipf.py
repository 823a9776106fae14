import numpy as np
import pytest

from thimble.export.clicks.zipf import Zipf


@pytest.mark.parametrize("exponent", [0.0, 0.7, 1.0, 1.5])
@pytest.mark.parametrize("ids", [1, 10, 1001, 50_000])
def test_ranks_are_drawn_by_the_law(exponent: float, ids: int) -> None:
    weights = np.arange(1.0, ids + 1) ** -exponent
    law = Zipf(exponent, ids)
    ranks = law.draw((np.arange(400_000) + 0.5) / 400_000)
    assert ranks.min() == 0 and ranks.max() < ids
    cumulative = np.cumsum(weights) / weights.sum()
    for rank in (0, ids // 100, ids // 10, ids // 2):
        assert (ranks <= rank).mean() == pytest.approx(cumulative[rank], abs=1e-4)
    assert law.draw(np.array([np.nextafter(1, 0)]))[0] < ids


@pytest.mark.parametrize("ids", [10, 1000, 2_000_000])
def test_shares_of_the_draws(ids: int) -> None:
    shares, counts = Zipf(1.0, ids).shares()
    assert shares @ counts == pytest.approx(1)
    assert counts.sum() == ids
    assert shares[0] == pytest.approx(1 / (1 / np.arange(1.0, ids + 1)).sum(), rel=1e-6)
