"""Weights in 4 and 8 bits, by numpy's definition."""

import numpy as np
import pytest

from thimble.models.quantization import BITS, MemoryPrecision, dequantize, limits, quantize, stored_bytes, weights_in

STEP = np.float32(0.1)


def test_two_weights_of_4_bits_lie_in_a_byte_the_first_one_low() -> None:
    stored = quantize(np.array([[-0.8, 0.7, 0.1, -0.1]], np.float32), STEP, 4)
    assert stored.tolist() == [[0xF0, 0x79]]
    assert dequantize(stored, STEP, 4).tolist() == [(STEP * np.array([-8, 7, 1, -1], np.float32)).tolist()]


def test_a_weight_of_8_bits_is_a_byte() -> None:
    stored = quantize(np.array([[-12.8, 12.7, 0]], np.float32), STEP, 8)
    assert stored.tolist() == [[0, 255, 128]]
    assert dequantize(stored, STEP, 8).tolist() == [(STEP * np.array([-128, 127, 0], np.float32)).tolist()]


@pytest.mark.parametrize("bits", [4, 8])
def test_what_is_between_goes_to_the_nearest_and_what_is_beyond_to_the_last(bits: int) -> None:
    low, high = limits(bits)
    weights = np.array([0.5, 1.5, -0.5, 1e30, -1e30, high + 0.49, low - 0.49, -0.0], np.float32)
    found = dequantize(quantize(weights, np.float32(1), bits), np.float32(1), bits)
    assert found.tolist() == [0, 2, 0, high, low, high, low, 0]
    assert not np.signbit(found[found == 0]).any(), "there is one zero"


@pytest.mark.parametrize("bits", [4, 8])
def test_every_byte_comes_back(bits: int) -> None:
    every = np.arange(256, dtype=np.uint8).reshape(4, 64)
    assert np.array_equal(quantize(dequantize(every, STEP, bits), STEP, bits), every)


@pytest.mark.parametrize("precision", BITS)
def test_bytes_hold_as_many_weights_as_they_can(precision: MemoryPrecision) -> None:
    for weights in (2, 1000, 1002):
        assert weights_in(stored_bytes(weights, precision), precision) == weights
        assert weights_in(stored_bytes(weights, precision) - 1, precision) < weights
    assert stored_bytes(0, precision) == weights_in(0, precision) == 0
