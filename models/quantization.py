"""Embedding weights in few bits. Every backend must equal this numpy definition bit for bit.

Weights are whole multiples of one `step`, kept as unsigned integers: one of 8 bits is a byte, one of 4 bits half of a
byte, the low half first. One float32 multiplication makes weights of them,

    weight = (byte - 128) * step        weight = (half - 8) * step
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from thimble.models.hashing import Floats

Bytes = npt.NDArray[np.uint8]

MemoryPrecision = Literal["fp32", "fp16", "int8", "int4"]
"""How a file holds embedding weights."""
BITS: Final[Mapping[MemoryPrecision, int]] = {"fp32": 32, "fp16": 16, "int8": 8, "int4": 4}
"""Of one weight."""
STEP_BYTES = 4


def is_quantized(precision: MemoryPrecision) -> bool:
    """Whether weights are integers and a step."""
    return precision in ("int8", "int4")


def stored_bytes(weights: int, precision: MemoryPrecision) -> int:
    """What so many weights take in a file, their step included."""
    step = STEP_BYTES if weights and is_quantized(precision) else 0
    return -(-weights * BITS[precision] // 8) + step


def weights_in(stored: int, precision: MemoryPrecision) -> int:
    """How many weights so many bytes hold."""
    step = STEP_BYTES if is_quantized(precision) else 0
    return max(stored - step, 0) * 8 // BITS[precision]


def limits(bits: int) -> tuple[int, int]:
    """The least and the greatest multiple of the step."""
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def quantize(weights: Floats, step: np.float32, bits: int) -> Bytes:
    """The nearest multiples of the step, ties to even: [..., n] -> [..., n * bits / 8], where n is even for 4 bits."""
    low, high = limits(bits)
    codes = (np.clip(np.rint(weights / step), low, high) - low).astype(np.uint8)
    stored: Bytes = codes if bits == 8 else codes[..., ::2] | (codes[..., 1::2] << 4)
    return stored


def dequantize(stored: npt.NDArray[Any], step: npt.ArrayLike, bits: int) -> Floats:
    """Bytes [..., n] -> the weights, float32 [..., n * 8 / bits]."""
    codes = stored
    if bits == 4:
        halves = np.stack([stored & 15, stored >> 4], axis=-1)
        codes = halves.reshape(*stored.shape[:-1], 2 * stored.shape[-1])
    weights: Floats = (codes.astype(np.int16) + limits(bits)[0]).astype(np.float32) * np.asarray(step, np.float32)
    return weights
