import numpy as np
import pytest

from thimble.export.metrics.calibration import entropy
from thimble.export.metrics.held_out import held_out_metrics
from thimble.models.spec import Metrics

LABELS, SCORES = np.array([0, 1, 0, 1, 1]), np.array([0.1, 0.6, 0.7, 0.8, 0.9])


def test_held_out_metrics() -> None:
    metrics = held_out_metrics(LABELS, SCORES, np.array([-1.0, 1, 0, 2, 3]))
    assert (metrics.rows, metrics.base_rate) == (5, 0.6)
    assert metrics.auc == pytest.approx(5 / 6)
    assert metrics.best_auc == 1
    assert metrics.calibration == pytest.approx(SCORES.mean() / 0.6)
    assert metrics.normalised_entropy == pytest.approx(metrics.log_loss / entropy(0.6))
    assert (metrics.groups, metrics.group_auc) == (None, None)
    assert held_out_metrics(LABELS, np.full(5, 0.5)).best_auc is None


def test_a_constant_at_the_base_rate_is_worth_nothing_and_is_calibrated() -> None:
    metrics = held_out_metrics(LABELS, np.full(5, 0.6))
    assert metrics.normalised_entropy == pytest.approx(1)
    assert metrics.calibration == pytest.approx(1)
    assert metrics.calibration_error == pytest.approx(0)
    assert metrics.auc == 0.5


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_has_no_auc_and_nothing_to_beat(label: int) -> None:
    labels, groups = np.full(5, label), np.array([1, 1, 1, 2, 2])
    metrics = held_out_metrics(labels, np.full(5, 0.5), np.arange(5), groups)
    assert (metrics.auc, metrics.auc_interval, metrics.best_auc) == (None,) * 3
    assert (metrics.normalised_entropy, metrics.normalised_entropy_interval) == (None, None)
    assert (metrics.base_rate, metrics.calibration) == (label, 0.5 if label else None)
    assert (metrics.group_auc, metrics.groups, metrics.one_class_groups) == (None, 2, 2)


def test_nineteen_of_twenty_intervals_hold_the_normalised_entropy_of_all_rows() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(-1, 0.5, 200_000)
    scores = 1 / (1 + np.exp(-logits))
    labels = (random.random(len(scores)) < scores).astype(np.float32)
    of_all = held_out_metrics(labels, scores).normalised_entropy
    assert of_all is not None and 0.9 < of_all < 1
    held = []
    for chosen in np.split(np.arange(200_000), 500):  # 400 rows each
        interval = held_out_metrics(labels[chosen], scores[chosen]).normalised_entropy_interval
        assert interval is not None and interval[1] - interval[0] < 0.2
        held.append(interval[0] <= of_all <= interval[1])
    assert 0.92 < np.mean(held) < 0.97


def test_one_row() -> None:
    metrics = held_out_metrics(np.array([1.0]), np.array([0.25]), groups=np.array([7]))
    assert metrics.log_loss == pytest.approx(-np.log(0.25))
    assert (metrics.log_loss_interval, metrics.normalised_entropy_interval) == (None, None)
    assert metrics.calibration_interval is None


def test_groups_are_the_units_of_every_interval() -> None:
    random = np.random.default_rng(0)
    whose = np.repeat(np.arange(80), 40)
    logits = np.repeat(random.normal(size=80), 40)
    labels = (random.random(3200) < 1 / (1 + np.exp(1 - logits))).astype(np.float32)
    scores = np.full(3200, labels.mean()) + 0.01 * random.random(3200)
    apart, together = held_out_metrics(labels, scores), held_out_metrics(labels, scores, groups=whose)
    for name in ("log_loss", "normalised_entropy", "calibration"):
        assert getattr(apart, name) == pytest.approx(getattr(together, name))
        narrow, wide = (getattr(metrics, f"{name}_interval") for metrics in (apart, together))
        assert wide[1] - wide[0] > 1.5 * (narrow[1] - narrow[0])
    assert together.groups == 80 and together.group_auc is not None


def test_weights_undo_that_negatives_were_sampled() -> None:
    random = np.random.default_rng(0)
    scores = random.uniform(0.01, 0.3, 200_000)
    labels = (random.random(200_000) < scores).astype(np.float32)
    kept = (labels > 0) | (random.random(200_000) < 0.1)
    everything = held_out_metrics(labels, scores)
    sampled = held_out_metrics(labels[kept], scores[kept], weights=np.where(labels[kept] > 0, 1, 10))
    for name in ("base_rate", "log_loss", "normalised_entropy", "calibration", "auc"):
        assert getattr(sampled, name) == pytest.approx(getattr(everything, name), rel=0.02), name


@pytest.mark.parametrize("bad", [np.nan, -0.1, 1.5, np.inf])
def test_what_is_no_probability_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match=r"^1 of 5 scores are no probabilities; the first is (nan|-0.1|1.5|inf)$"):
        held_out_metrics(LABELS, np.array([0.1, 0.6, bad, 0.8, 0.9]))


def test_what_was_written_before_there_were_more_is_read() -> None:
    old = (
        '{"rows": 1000, "base_rate": 0.2, "log_loss": 0.45, "auc": 0.75, "auc_interval": [0.7, 0.8], "best_auc": null}'
    )
    assert Metrics.model_validate_json(old).normalised_entropy is None
