from statistics import NormalDist

import numpy as np
import pytest

from thimble.export.metrics.held_out import auc, held_out_metrics, log_loss


@pytest.mark.parametrize("seed", range(5))
def test_auc_is_the_share_of_pairs_in_order_ties_counting_half(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = (random.random(120) < 0.3).astype(np.float32)
    scores = random.integers(0, 8, 120).astype(np.float32) / 8 + labels / 8
    pairs = [(p > n) + 0.5 * (p == n) for p in scores[labels == 1] for n in scores[labels == 0]]
    ranked = auc(labels, scores)
    assert ranked is not None
    assert ranked.value == pytest.approx(np.mean(pairs), abs=1e-12)
    assert ranked.low < ranked.value < ranked.high


def test_auc_at_its_ends() -> None:
    labels = np.array([0, 0, 1, 1])
    assert auc(labels, np.array([1, 2, 3, 4])) == (1, 1, 1)
    assert auc(labels, np.array([4, 3, 2, 1])) == (0, 0, 0)
    same = auc(labels, np.array([5, 5, 5, 5]))
    assert same is not None and same.value == 0.5
    single = auc(np.array([0, 1]), np.array([1, 2]))
    assert single is not None and single.value == 1


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_has_no_auc(label: int) -> None:
    labels = np.full(5, label)
    assert auc(labels, np.arange(5)) is None
    metrics = held_out_metrics(labels, np.full(5, 0.5), np.arange(5))
    assert (metrics.auc, metrics.auc_interval, metrics.best_auc) == (None, None, None)
    assert metrics.base_rate == label


def test_the_interval_covers_the_true_auc_about_95_times_in_a_hundred() -> None:
    random = np.random.default_rng(11)
    shift = 1.0
    true = NormalDist().cdf(shift / 2**0.5)
    labels = np.repeat([1.0, 0.0], [80, 160])
    covered = 0
    trials = 600
    for _ in range(trials):
        ranked = auc(labels, random.normal(size=240) + shift * labels)
        assert ranked is not None
        covered += ranked.low <= true <= ranked.high
    assert 0.92 < covered / trials < 0.98


def test_log_loss() -> None:
    labels, scores = np.array([1, 0, 1]), np.array([0.8, 0.4, 0.5])
    assert log_loss(labels, scores) == pytest.approx(-(np.log(0.8) + np.log(0.6) + np.log(0.5)) / 3)
    assert log_loss(np.array([1, 0]), np.array([0.0, 1.0])) == pytest.approx(-np.log(1e-7))  # finite


def test_held_out_metrics() -> None:
    labels = np.array([0, 1, 0, 1, 1])
    metrics = held_out_metrics(labels, np.array([0.1, 0.6, 0.7, 0.8, 0.9]), np.array([-1.0, 1, 0, 2, 3]))
    assert (metrics.rows, metrics.base_rate) == (5, 0.6)
    assert metrics.auc == pytest.approx(5 / 6)
    assert metrics.best_auc == 1
    assert held_out_metrics(labels, np.full(5, 0.5)).best_auc is None
