"""Platt scaling finds what was done to logits, and says where it can't."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from thimble.export.training.platt import PlattError, fold, platt_scaling
from thimble.models.spec import PlattScaling

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
    """Platt's smoothed targets would add one click to these five."""
    labels, logits = drawn(2000)
    labels[np.flatnonzero(labels)[5:]] = 0
    assert scores(logits, platt_scaling(labels, logits)).mean() == pytest.approx(5 / 2000, rel=1e-5)


def test_a_row_of_weight_three_is_three_rows() -> None:
    labels, logits = drawn(500)
    weights = np.where(labels > 0.5, 1.0, 3.0)
    repeated = np.repeat(np.arange(500), weights.astype(int))
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
        ([0, 0, 1, 1], [1, 2, 3, 4], "no click has a lower score"),
        ([0, 0, 1, 1], [1, 2, 2, 4], "no click has a lower score"),
        ([1, 1, 0, 0], [1, 2, 3, 4], "higher scores do not mean more clicks"),
        ([1, 0, 1, 0], [1, 2, 3, 4], "higher scores do not mean more clicks"),
        ([0, 1, 0, 1], [1, 2, float("nan"), 4], "not all logits"),
    ],
)
def test_rows_that_tell_no_scaling(labels: list[int], logits: list[float], reason: str) -> None:
    with pytest.raises(PlattError, match=reason):
        platt_scaling(np.array(labels, np.float32), np.array(logits, np.float64))


def test_outliers_do_not_keep_it_from_converging() -> None:
    labels, logits = drawn(2000)
    logits[:3], labels[:3] = [300, -300, 600], [1, 0, 1]
    scaling = platt_scaling(labels, logits)
    assert scaling.slope > 0
    assert scores(logits, scaling).mean() == pytest.approx(labels.mean(), rel=1e-5)


def test_folding_into_the_last_layer_scales_the_logit() -> None:
    layer, inputs = nn.Linear(8, 1), torch.randn(50, 8)
    before: Any = layer(inputs).detach()
    fold(PlattScaling(slope=1.7, intercept=-0.4, rows=1), layer)
    torch.testing.assert_close(layer(inputs).detach(), before * 1.7 - 0.4)
