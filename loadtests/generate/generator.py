"""Hands out requests when they are due, and keeps what came of them: one in every process that generates load."""

import itertools
from collections import deque
from collections.abc import Sequence
from time import perf_counter
from typing import NamedTuple

import gevent
from gevent.event import Event

from thimble.loadtests.generate.pacing import Pacing, arrivals
from thimble.loadtests.results.run import Step
from thimble.loadtests.traffic.requests import Prepared

# gevent's timers are late, with epoll, which counts in milliseconds, by up to one. So near a start it polls instead.
SPIN_SECONDS = {"select": 0.0002}
SPIN_SECONDS_ELSEWHERE = 0.001
GRACE_SECONDS = 1.0


class Arrival(NamedTuple):
    """A request, when it is due by perf_counter, and the step that it belongs to."""

    due: float
    request: Prepared
    step: Step


class Generator:
    """One step at a time. Users take requests from it, each as soon as it is free."""

    def __init__(self) -> None:
        self.step: Step | None = None
        self._due: deque[float] = deque()
        self._in_flight = 0
        self._begun = Event()
        self._spin = SPIN_SECONDS.get(gevent.get_hub().loop.backend, SPIN_SECONDS_ELSEWHERE)

    def use(self, requests: Sequence[Prepared], pacing: Pacing, share: int, shares: int) -> None:
        """`share` of `shares` is which of the processes this is that generate the load together."""
        self._requests = itertools.cycle(requests)
        for _ in range(len(requests) * share // shares):
            next(self._requests)
        self._pacing = pacing
        self._share = share
        self._shares = shares

    def begin(self, rate: float, seconds: float, seed: int, number: int, timeout: float) -> None:
        """Start this share of a step, which is the `number`th. What waits `timeout` after its end is given up."""
        rate /= self._shares
        times = arrivals(rate, seconds, self._pacing, (seed, number, self._share), self._share / self._shares)
        self._start = perf_counter()
        self._due = deque(self._start + time for time in times)
        self._in_flight = 0
        self._give_up = self._start + seconds + timeout
        self._timeout = timeout
        self.step = Step(offered=rate, seconds=seconds)
        self._begun.set()

    def take(self) -> Arrival:
        """The next request. Blocks until it is due."""
        while not self._due:
            self._begun.clear()
            self._begun.wait()
        assert self.step is not None
        arrival = Arrival(self._due.popleft(), next(self._requests), self.step)
        self._in_flight += 1
        while (left := arrival.due - perf_counter()) > 0:
            gevent.sleep(left - self._spin if left > self._spin else 0)
        return arrival

    def answered(self, arrival: Arrival, ms: float) -> None:
        self._came_back(arrival)
        arrival.step.ok += 1
        arrival.step.ok_rows += arrival.request.rows
        arrival.step.histogram.record(ms)

    def rejected(self, arrival: Arrival, status: int) -> None:
        self._came_back(arrival)
        _count(arrival.step.rejected, str(status))

    def failed(self, arrival: Arrival, reason: str) -> None:
        self._came_back(arrival)
        _count(arrival.step.failed, reason)

    def _came_back(self, arrival: Arrival) -> None:
        arrival.step.due += 1
        if arrival.step is self.step:
            arrival.step.elapsed = perf_counter() - self._start
            self._in_flight -= 1

    def finished(self) -> bool:
        """Whether all that was due has come to something."""
        assert self.step is not None
        late = perf_counter() - self._give_up
        if self._due and late > 0:
            self._drop(len(self._due), "never sent, all connections were busy")
            self._due.clear()
        if self._in_flight and late > self._timeout + GRACE_SECONDS:
            self._drop(self._in_flight, "no answer: timed out")
            self._in_flight = 0
            self.step = self.step.model_copy(deep=True)  # an answer that comes now belongs to no step
        return not self._due and not self._in_flight

    def _drop(self, count: int, reason: str) -> None:
        assert self.step is not None
        self.step.due += count
        _count(self.step.failed, reason, count)


def _count(counts: dict[str, int], reason: str, count: int = 1) -> None:
    counts[reason] = counts.get(reason, 0) + count
