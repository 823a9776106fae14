"""When requests are due."""

from typing import Literal

import numpy as np

Pacing = Literal["poisson", "even"]


def arrivals(rate: float, seconds: float, pacing: Pacing, seed: tuple[int, ...], shift: float = 0) -> list[float]:
    """When each request is due, in seconds from the start, `rate * seconds` of them.

    `poisson` is a Poisson process of which that count is known: independent of each other, as users are. `even` is one
    every 1/rate seconds, the first after `shift` of that, so that several generators can take turns.
    """
    count = round(rate * seconds)
    if pacing == "even":
        due = (np.arange(count) + shift) / rate
    else:
        due = np.sort(np.random.default_rng(seed).uniform(0, seconds, count))
    times: list[float] = due.tolist()
    return times
