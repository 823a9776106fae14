"""How the offered rate goes. A shape is a generator that yields what to offer next and is sent what came of it."""

import math
from collections.abc import Callable, Generator, Sequence
from typing import Literal, NamedTuple

from thimble.loadtests.results.run import Step
from thimble.loadtests.traffic.served import LoadError

Name = Literal["constant", "step", "spike", "diurnal", "knee"]

HOURS = 24
QUIETEST_HOUR = 4
KNEE_PRECISION = 1.05
LOWEST_RATE = 1.0


class Offer(NamedTuple):
    """Requests/s for so many seconds, and the seconds that all steps after it take, or take at least."""

    rate: float
    seconds: float
    after: float


Shape = Generator[Offer, Step, float | None]
"""Returns the knee, requests/s, if it has looked for one: 0 if no rate was sustained."""


def shape(name: Name, rates: Sequence[float], seconds: float, sustained: Callable[[Step], bool]) -> Shape:
    """The shape of that name. LoadError: it takes other rates."""
    check(name, rates)
    match name:
        case "constant" | "step":
            return _each(rates, seconds)
        case "spike":
            base, peak = rates
            return _each([base, peak, base], seconds)
        case "diurnal":
            return _each([_hour(hour, *rates) for hour in range(HOURS)], seconds)
        case "knee":
            return _knee(rates[0], seconds, sustained)


def check(name: Name, rates: Sequence[float]) -> None:
    """LoadError: the shape of that name takes another number of rates, or they are none."""
    takes = {"constant": 1, "spike": 2, "diurnal": 2, "knee": 1}.get(name, len(rates))
    if len(rates) != takes:
        raise LoadError(f"the shape {name} takes {takes} rate{'s' * (takes > 1)}, not {len(rates)}")
    if not all(0 < rate < math.inf for rate in rates):
        raise LoadError("rates must be above 0")


def _each(rates: Sequence[float], seconds: float) -> Shape:
    for after, rate in zip(reversed(range(len(rates))), rates, strict=True):
        yield Offer(rate, seconds, after * seconds)
    return None


def _hour(hour: int, trough: float, peak: float) -> float:
    """A day's traffic as half a wave up and half a wave down."""
    return trough + (peak - trough) * (1 - math.cos(2 * math.pi * (hour - QUIETEST_HOUR) / HOURS)) / 2


def _knee(start: float, seconds: float, sustained: Callable[[Step], bool]) -> Shape:
    """Doubles the rate until it is not sustained, then halves the gap, in ratio, to the highest that was.

    A rate is given up when it fails twice: what else runs on the machine may spoil one try.
    """
    good, bad, rate = 0.0, math.inf, start
    while bad > good * KNEE_PRECISION and rate >= LOWEST_RATE:
        after = _halvings(good, bad, rate) * seconds
        if sustained((yield Offer(rate, seconds, after))) or sustained((yield Offer(rate, seconds, after))):
            good = rate
        else:
            bad = rate
        rate = good * 2 if bad == math.inf else math.sqrt(good * bad) if good else bad / 2
    return good


def _halvings(good: float, bad: float, rate: float) -> int:
    """Rates to be tried after this one at least, until good and bad are apart by KNEE_PRECISION or all were bad."""
    gap = bad / rate if bad < math.inf else rate / good if good else 2
    halvings = max(math.ceil(math.log2(math.log(gap) / math.log(KNEE_PRECISION))), 0)
    return halvings if good else min(halvings, int(math.log2(rate / LOWEST_RATE)))
