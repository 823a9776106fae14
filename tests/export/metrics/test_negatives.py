"""What a log says that kept only a share of its negatives is what the full log says."""

import numpy as np
import pytest

from thimble.export.metrics.held_out import held_out_metrics
from thimble.export.metrics.negatives import checked_share, row_weights, sampled_log_odds


@pytest.mark.parametrize("share", [0, -0.1, 1.0001, 2, float("nan"), float("inf")])
def test_what_is_no_share_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match=r"--negatives-kept is a share .*, above 0 and at most 1, not"):
        checked_share(share)


def test_shares() -> None:
    assert [checked_share(share) for share in (1e-9, 0.1, 1)] == [1e-9, 0.1, 1]


@pytest.mark.parametrize("share", [0.5, 0.1, 0.01])
def test_metrics_are_those_of_the_full_log(share: float) -> None:
    """Each negative of the full log is there 1 / share times, so nothing depends on which were drawn."""
    random = np.random.default_rng(0)
    copies = round(1 / share)
    clicks, others = np.ones(40, np.float32), np.zeros(300, np.float32)
    high, low = random.beta(3, 4, 40).astype(np.float32), random.beta(2, 9, 300).astype(np.float32)
    log = held_out_metrics(np.concatenate([clicks, *[others] * copies]), np.concatenate([high, *[low] * copies]))
    labels = np.concatenate([clicks, others])
    kept = held_out_metrics(labels, np.concatenate([high, low]), weights=row_weights(labels, share))
    assert kept.base_rate == pytest.approx(log.base_rate, rel=1e-6)
    assert kept.log_loss == pytest.approx(log.log_loss, rel=1e-6)
    assert kept.auc == pytest.approx(log.auc, abs=1e-9)
    assert kept.rows == 340


def test_log_odds_in_the_log_are_higher_by_what_sampling_adds() -> None:
    clicks, others, share = 30, 7000, 0.1
    full, kept = np.log(clicks / others), np.log(clicks / (others * share))
    assert full + sampled_log_odds(share) == pytest.approx(kept)
    assert sampled_log_odds(1) == 0
    assert row_weights(np.ones(3, np.float32), 1) is None
