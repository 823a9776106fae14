"""Logs that kept only a share of their negatives, each as likely as another, as those of rare clicks often do.

Whatever the features, the odds of a click in such a log are the true odds divided by the share (King and Zeng, 2001,
on case-control data; He et al., ADKDD 2014, section 6.3, for click logs). So a model is trained with that factor added
to its log-odds, and its own are the true ones; and a row stands for as many rows of the full log as it was one of.
"""

import math

import numpy as np
import numpy.typing as npt

from thimble.models.hashing import Floats

Doubles = npt.NDArray[np.float64]


def checked_share(share: float) -> float:
    """ValueError: it is not a share above 0."""
    if not 0 < share <= 1:  # NaN is neither
        raise ValueError(f"--negatives-kept is a share of the negatives, above 0 and at most 1, not {share:g}")
    return share


def sampled_log_odds(share: float) -> float:
    """What is added to true log-odds to make them those in the log: -ln(share)."""
    return -math.log(share)


def row_weights(labels: Floats, share: float) -> Doubles | None:
    """How many rows of the full log each row stands for, [rows]; None where it is one for all."""
    return None if share == 1 else np.where(labels > 0.5, 1.0, 1 / share)
