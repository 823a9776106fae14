"""Load tests from Python. Locust patches the standard library, so each runs in a process of its own."""

from collections.abc import Sequence
from pathlib import Path

from loadtests.results import Run, Step
from loadtests.traffic import Traffic


def run(
    url: str,
    traffic: Traffic,
    shape: str,
    rates: Sequence[float],
    seconds: float = 10,
    *,
    connections: int = 64,
    pacing: str = "poisson",
    limit_ms: float | None = None,
    ceiling: float | None = None,
    results: Path | None = None,
) -> Run:
    """A load test, whatever became of it: look at `complete` and `reason`.

    `shape` is constant (one rate), step (rates one after the other), spike (base and peak), diurnal (trough and peak)
    or knee (where to begin); each step takes `seconds`. `rates` are in requests/s. `limit_ms` is the knee's p99.
    MeasureError: there is no result at all.
    """
    raise NotImplementedError


class MeasureError(Exception):
    """A load test that could not begin, or was cut short."""


def measure(url: str, traffic: Traffic, rate: float, seconds: float, *, connections: int = 64) -> Step:
    """Offers `rate` requests/s for so many seconds. MeasureError: cut short, or never begun."""
    return measure_rates(url, traffic, [rate], seconds, connections=connections)[0]


def measure_rates(
    url: str, traffic: Traffic, rates: Sequence[float], seconds: float, *, connections: int = 64
) -> list[Step]:
    """A step for each rate, one after the other; quicker than one by one. MeasureError as above."""
    raise NotImplementedError


def find_knee(
    url: str, traffic: Traffic, limit_ms: float, *, start: float = 50, seconds: float = 3, connections: int = 64
) -> Run:
    """Raises the rate until p99 breaks the limit, then closes in on it: `knee` of what it returns, requests/s.

    Every rate tried is among its steps, in the order tried. MeasureError as above.
    """
    raise NotImplementedError


def ceiling(traffic: Traffic, like: str, *, seconds: float = 2, connections: int = 64) -> float:
    """Requests/s of such traffic that the generator reaches against a server that does nothing else on this machine.

    `like` is the URL of the server whose answers it imitates.
    """
    raise NotImplementedError
