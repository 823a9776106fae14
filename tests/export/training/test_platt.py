"""Platt scaling finds what was done to logits, and says where it can't."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from thimble.export.training.platt import PlattError, enough_rows, fold, platt_scaling, unfold
from thimble.models.provenance import PlattScaling
from thimble.models.spec import Metrics

Labels = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


def drawn(rows: int, slope: float = 1.0, intercept: float = 0.0, seed: int = 0) -> tuple[Labels, Doubles]:
    """Labels, and logits from which slope and intercept lead to the true ones."""
    random = np.random.default_rng(seed)
    truth = random.normal(-3, 1.5, rows)
    labels = (random.random(rows) < 1 / (1 + np.exp(-truth))).astype(np.float32)
    return labels, (truth - intercept) / slope


def scores(logits: Doubles, scaling: PlattScaling) -> Doubles:
    return 1 / (1 + np.exp(-(scaling.slope * logits + scaling.intercept)))


@pytest.mark.parametrize(("slope", "intercept"), [(1, 0), (0.2, -3), (5, 2), (1e-3, 0), (1e3, 0)])
def test_what_was_done_to_logits_is_found(slope: float, intercept: float) -> None:
    labels, logits = drawn(200_000, slope, intercept)
    scaling = platt_scaling(labels, logits)
    assert scaling.slope == pytest.approx(slope, rel=0.03)
    assert scaling.intercept == pytest.approx(intercept, abs=0.1)
    assert scores(logits, scaling).mean() == pytest.approx(labels.mean(), rel=1e-6)
    assert scaling.rows == 200_000


def test_of_rare_clicks_the_mean_score_is_the_base_rate() -> None:
    """Platt's smoothed targets would add one click to this hundred."""
    labels, logits = drawn(20_000)
    labels[np.flatnonzero(labels)[100:]] = 0
    assert scores(logits, platt_scaling(labels, logits)).mean() == pytest.approx(100 / 20_000, rel=1e-5)


def test_few_rows_leave_the_slope_to_chance() -> None:
    """As 22 rows would, or 99 clicks among any number of others."""
    labels, logits = drawn(22)
    with pytest.raises(PlattError, match="1 click and 21 other rows for validation are too few, it takes 100"):
        platt_scaling((np.arange(22) == 7).astype(np.float32), logits)
    labels, logits = drawn(5000)
    labels[np.flatnonzero(labels)[99:]] = 0
    for few, scored in ((labels, logits), (1 - labels, -logits)):
        with pytest.raises(PlattError, match="too few"):
            platt_scaling(few, scored)


@pytest.mark.parametrize("kept", [1.0, 0.1])
@pytest.mark.parametrize(("clicks", "others", "enough"), [(100, 100, True), (100, 9000, True), (99, 9000, False)])
def test_metrics_tell_whether_rows_are_enough(kept: float, clicks: int, others: int, enough: bool) -> None:
    rate = clicks / (clicks + others / kept)
    for share, result in ((rate, enough), (0.0, False), (1.0, False)):
        assert enough_rows(Metrics(rows=clicks + others, base_rate=share, log_loss=0.1, auc=None), kept) == result


def test_a_row_of_weight_three_is_three_rows() -> None:
    labels, logits = drawn(2000)
    weights = np.where(labels > 0.5, 1.0, 3.0)
    repeated = np.repeat(np.arange(2000), weights.astype(int))
    weighted, counted = platt_scaling(labels, logits, weights), platt_scaling(labels[repeated], logits[repeated])
    assert weighted.slope == pytest.approx(counted.slope, rel=1e-6)
    assert weighted.intercept == pytest.approx(counted.intercept, abs=1e-6)


@pytest.mark.parametrize(
    ("labels", "logits", "reason"),
    [
        ([], [], "all of one class"),
        ([0, 0, 0], [1, 2, 3], "all of one class"),
        ([1], [1], "all of one class"),
        ([0, 1, 0, 1], [2, 2, 2, 2], "all have the same score"),
        ([0, 1, 0, 1], [0.1, 0.1, 0.1, 0.1], "all have the same score"),  # rounding gives them a deviation
        ([0, 0, 1, 1], [1, 2, 3, 4], "no click has a lower score"),
        ([0, 0, 1, 1], [1, 2, 2, 4], "no click has a lower score"),
        ([1, 1, 0, 0], [1, 2, 3, 4], "higher scores do not mean more clicks"),
        ([1, 0, 1, 0], [1, 2, 3, 4], "higher scores do not mean more clicks"),
        ([0, 1, 0, 1], [1, 2, float("nan"), 4], "not all logits"),
    ],
)
def test_rows_that_tell_no_scaling(labels: list[int], logits: list[float], reason: str) -> None:
    with pytest.raises(PlattError, match=reason):
        platt_scaling(np.repeat(np.array(labels, np.float32), 99), np.repeat(np.array(logits, np.float64), 99))


def test_outliers_do_not_keep_it_from_converging() -> None:
    labels, logits = drawn(2000)
    logits[:3], labels[:3] = [300, -300, 600], [1, 0, 1]
    scaling = platt_scaling(labels, logits)
    assert scaling.slope > 0
    assert scores(logits, scaling).mean() == pytest.approx(labels.mean(), rel=1e-5)


def test_folding_into_the_last_layer_scales_the_logit() -> None:
    layer, inputs = nn.Linear(8, 1), torch.randn(50, 8)
    before: Any = layer(inputs).detach()
    scaling = PlattScaling(slope=1.7, intercept=-0.4, rows=1)
    fold(scaling, layer)
    torch.testing.assert_close(layer(inputs).detach(), before * 1.7 - 0.4)
    unfold(scaling, layer)
    torch.testing.assert_close(layer(inputs).detach(), before)
