"""The step of a memory that was trained in float32."""

import numpy as np

from thimble.models.hashing import Floats
from thimble.models.quantization import limits

SAMPLE = 1 << 20
"""Weights, evenly spaced, that the search looks at."""
STEPS = 64
"""That are tried, from the one with which no weight is cut off down to a sixteenth of it."""


def best_step(weights: Floats, bits: int) -> float:
    """The float32 with which weights change least, by squared error, when they are rounded and cut off."""
    sample = weights.ravel()[:: -(-weights.size // SAMPLE)].astype(np.float64)
    low, high = limits(bits)
    steps = np.float32(max(sample.max() / high, sample.min() / low)) * np.geomspace(1, 1 / 16, STEPS, dtype=np.float32)
    if not steps[-1]:
        return 1  # all weights are 0
    errors = [np.square(np.clip(np.rint(sample / step), low, high) * step - sample).sum() for step in steps]
    return float(steps[np.argmin(errors)])
