"""The scores' mean is the base rate, and their order is left as it is."""

import numpy as np
import pytest
import torch

from testing.samples import random_batch, small_spec
from thimble.export.clicks.rows import Clicks
from thimble.export.training.evaluation import score
from thimble.export.training.intercept import fit_intercept
from thimble.export.training.start import started
from thimble.models.hashing import Floats
from thimble.models.nn.recommender import Recommender

SPEC = small_spec()
BATCH = random_batch(SPEC, 600)


def labels(rate: float) -> Floats:
    return (np.arange(600) < rate * 600).astype(np.float32)


def model(bias: float) -> Recommender:
    drawn = started(SPEC, 0, torch.device("cpu"))
    with torch.no_grad():
        drawn.last_layer.bias.add_(bias)
    return drawn


@pytest.mark.parametrize(("rate", "bias"), [(0.01, -15.0), (0.01, 6.0), (0.2, 0.0), (0.95, -15.0), (0.95, 6.0)])
def test_the_mean_is_the_base_rate(rate: float, bias: float) -> None:
    fitted = model(bias)
    before = score(fitted, BATCH)
    clicked = labels(rate)
    fit_intercept(fitted, [Clicks(clicked[i : i + 250], BATCH.part(i, i + 250)) for i in range(0, 600, 250)])
    after = score(fitted, BATCH)
    assert after.mean() == pytest.approx(clicked.mean(), rel=1e-3)
    assert (np.argsort(after, kind="stable") == np.argsort(before, kind="stable")).mean() > 0.9


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_rows_of_one_class_change_nothing(rate: float) -> None:
    fitted = model(0)
    before = score(fitted, BATCH)
    fit_intercept(fitted, [Clicks(labels(rate), BATCH)])
    fit_intercept(fitted, [])
    assert (score(fitted, BATCH) == before).all()
