"""Contestants that take turns, so that whatever else the machine does meets them all alike."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from typing import Any, NamedTuple

Figures = dict[str, Any]
TIMED = 3


class Contestant(NamedTuple):
    """A name, and what is done in turn: the same thing on other data each time."""

    name: str
    turns: Sequence[Callable[[], object]]


def measure(contestants: Sequence[Contestant], reference: str, rounds: int, threads: int) -> Figures:
    """The median ms of each, and the median over the rounds of its ratio to the reference in the same round."""
    clock = time.process_time if threads == 1 else time.perf_counter
    turns: dict[str, Iterator[Callable[[], object]]] = {name: cycle(some) for name, some in contestants}
    seconds: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(rounds):
        for name, some in turns.items():
            next(some)()
            start = clock()
            for _ in range(TIMED):
                next(some)()
            seconds[name].append((clock() - start) / TIMED)
    return {
        "rounds": rounds,
        "contestants": {
            name: {
                "ms": statistics.median(times) * 1e3,
                "ratio": statistics.median(a / b for a, b in zip(times, seconds[reference], strict=True)),
                "all_ms": [round(time * 1e3, 3) for time in times],
            }
            for name, times in seconds.items()
        },
    }
