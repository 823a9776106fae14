"""The step of weights that were trained in float32."""

import numpy as np
import pytest

from thimble.export.training.best_step import SAMPLE, best_step
from thimble.models.hashing import Floats
from thimble.models.quantization import dequantize, quantize


def error(weights: Floats, step: float, bits: int) -> float:
    """Of an even number of weights."""
    found = dequantize(quantize(weights, np.float32(step), bits), np.float32(step), bits)
    return float(np.square(found - weights).mean())


@pytest.mark.parametrize(("bits", "optimal"), [(4, 0.335), (8, 0.031)])
def test_the_step_of_normal_weights_is_the_best_one(bits: int, optimal: float) -> None:
    """The best uniform steps of a normal distribution are known, for 16 levels .335 (Max, 1960)."""
    weights = np.random.default_rng(0).normal(size=(1000, 200)).astype(np.float32)
    step = best_step(weights, bits)
    assert step == pytest.approx(optimal, rel=0.05)
    assert error(weights, step, bits) < min(error(weights, step * times, bits) for times in (0.8, 1.25))


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("least", [-8.0, 0.0, 2.0])
def test_weights_that_are_multiples_already_stay_as_they_are(bits: int, least: float) -> None:
    weights = np.arange(least, 8, dtype=np.float32)
    assert error(weights, best_step(weights, bits), bits) < 0.1
    assert error(np.zeros(4, np.float32), best_step(np.zeros(4, np.float32), bits), bits) == 0


def test_of_many_weights_a_sample_is_enough() -> None:
    weights = np.random.default_rng(0).normal(size=2 * SAMPLE + 3).astype(np.float32)
    assert best_step(weights, 4) == pytest.approx(best_step(weights[:SAMPLE], 4), rel=0.05)


def test_the_smallest_and_the_largest_weights_have_a_step() -> None:
    for scale in (1e-38, 1e-30, 1e30, 3e37):
        weights = np.random.default_rng(0).normal(size=100) * scale
        step = best_step(weights.astype(np.float32), 4)
        assert 0 < step < np.inf
