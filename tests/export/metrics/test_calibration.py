from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from thimble.export.metrics.calibration import BINS, calibration_error, entropy, expected_error, log_loss, reliability
from thimble.export.metrics.curves import curves

Array = npt.NDArray[Any]


def calibrated(rows: int, seed: int = 0) -> tuple[Array, Array]:
    random = np.random.default_rng(seed)
    scores = (1 / (1 + np.exp(2 - random.normal(size=rows)))).astype(np.float32)
    return (random.random(rows) < scores).astype(np.float32), scores


def test_log_loss() -> None:
    labels, scores = np.array([1, 0, 1]), np.array([0.8, 0.4, 0.5])
    assert log_loss(labels, scores) == pytest.approx(-(np.log(0.8) + np.log(0.6) + np.log(0.5)) / 3)
    assert log_loss(np.array([1, 0]), np.array([0.0, 1.0])) == pytest.approx(-np.log(1e-7))  # finite
    assert log_loss(labels, scores, np.array([1, 3, 1])) == pytest.approx(
        -(np.log(0.8) + 3 * np.log(0.6) + np.log(0.5)) / 5
    )


@pytest.mark.parametrize("rate", [0.001, 0.2, 0.5, 1.0, 0.0])
def test_entropy_is_the_log_loss_of_the_base_rate(rate: float) -> None:
    labels = (np.arange(1000) < 1000 * rate).astype(np.float32)
    assert not np.signbit(entropy(rate))  # -0 would be shown
    assert entropy(rate) == pytest.approx(log_loss(labels, np.full(1000, rate)), abs=2e-7)


def test_bins_hold_a_twentieth_of_the_rows_each_and_their_own_rates() -> None:
    labels, scores = calibrated(10_000)
    bins = reliability(labels, scores)
    assert len(bins) == BINS and all(499 <= found.rows <= 501 for found in bins)
    order = np.argsort(scores, kind="stable")
    for i, found in enumerate(bins):
        rows = order[500 * i : 500 * (i + 1)]
        assert found.score == pytest.approx(scores[rows].mean(), rel=2e-3)
        assert found.rate == pytest.approx(labels[rows].mean(), abs=3e-3)
    inside = sum(low <= found.score <= high for found in bins for low, high in [found.interval])
    assert inside >= 17
    error = np.average([abs(found.score - found.rate) for found in bins], weights=[found.rows for found in bins])
    assert calibration_error(labels, scores, None) == pytest.approx(error, abs=1e-7)


def test_the_order_of_rows_changes_nothing() -> None:
    labels, scores = calibrated(1000)
    scores = scores.round(2)  # many are equal
    mixed = np.random.default_rng(1).permutation(1000)
    for here, there in zip(reliability(labels, scores), reliability(labels[mixed], scores[mixed]), strict=True):
        assert here.rows == there.rows
        assert (here.score, here.rate) == pytest.approx((there.score, there.rate))


@pytest.mark.parametrize("rows", [1, 7, 500])
def test_one_score_is_one_bin(rows: int) -> None:
    labels = (np.arange(rows) % 5 == 0).astype(np.float32)
    (found,) = reliability(labels, np.full(rows, 0.25, np.float32))
    assert (found.rows, found.score) == (rows, 0.25)
    assert found.rate == pytest.approx(labels.mean())
    assert 0 <= found.interval[0] <= found.rate + 1e-12 and found.rate - 1e-12 <= found.interval[1] <= 1


def test_error_of_scores_that_are_off() -> None:
    labels, scores = calibrated(200_000)
    assert calibration_error(labels, scores, None) < 0.003
    assert calibration_error(labels, scores * 0.5, None) == pytest.approx(scores.mean() / 2, abs=0.003)


def test_a_weight_is_that_many_rows() -> None:
    labels, scores = calibrated(2000)
    weights = np.where(labels > 0, 1, 4)
    repeated = np.repeat(labels, weights), np.repeat(scores, weights)
    assert calibration_error(labels, scores, weights) == pytest.approx(calibration_error(*repeated, None))
    for mine, theirs in zip(reliability(labels, scores, weights), reliability(*repeated), strict=True):
        assert (mine.score, mine.rate) == pytest.approx((theirs.score, theirs.rate))
        assert mine.interval[0] <= theirs.interval[0] + 1e-12  # it knows fewer rows
        assert theirs.interval[1] <= mine.interval[1] + 1e-12


@pytest.mark.parametrize("kept", [1.0, 0.1, 0.02])
def test_what_chance_alone_makes_of_right_scores_is_told(kept: float) -> None:
    expected, found, right = [], [], []
    for seed in range(20):
        labels, scores = calibrated(20_000, seed)
        stays = (labels > 0) | (np.random.default_rng(seed).random(len(labels)) < kept)
        labels, scores = labels[stays], scores[stays]
        weights = np.where(labels > 0, 1, 1 / kept)
        bins = reliability(labels, scores, weights)
        masses = [found.mass for found in bins]
        assert max(masses) < 1.1 * min(masses) + 2 / kept  # equal, but for the rows between two bins
        expected.append(expected_error(bins) or 0)
        found.append(calibration_error(labels, scores, weights))
        right += [low <= it.score <= high for it in bins for low, high in [it.interval]]
    assert np.mean(found) == pytest.approx(np.mean(expected), rel=0.15)
    assert 0.9 < np.mean(right) < 0.99


def test_unweighted_rows_are_all_effective() -> None:
    for found in reliability(*calibrated(1000)):
        assert found.mass == found.rows == pytest.approx(found.effective_rows)


def test_the_histogram_holds_all_rows() -> None:
    labels, scores = calibrated(5000)
    scores[:3] = [0, 1, 1e-9]
    found = curves(labels, scores).histogram
    assert sum(part.clicked + part.others for part in found) == pytest.approx(1)
    assert sum(part.clicked for part in found) == pytest.approx(labels.mean())
    assert all(a.high == b.low for a, b in pairwise(found))
    (only,) = curves(np.array([1.0]), np.array([0.5])).histogram
    assert only.low <= 0.5 < only.high and (only.clicked, only.others) == (1, 0)
