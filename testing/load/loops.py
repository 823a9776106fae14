"""Closed and open loops over keep-alive connections."""

import asyncio
import gc
import itertools
import time
from abc import ABC, abstractmethod
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, cast

import numpy as np
import uvloop

from testing.load.answers import Answer, parse
from testing.load.run import BROKEN, Doubles, Request, Run

Address = tuple[str, int]

RECONNECT_SECONDS = 0.05
SPIN_SECONDS = 0.002  # uvloop's timers are of whole milliseconds: closer to a start than this, the client polls


def closed_loop(
    address: Address,
    requests: Sequence[Request],
    connections: int,
    seconds: float,
    warmup: float = 0.5,
    drain: float = 10,
) -> Run:
    """Each connection sends the next request, taken in turn, when the answer to its last has come.

    The first `warmup` seconds do not count. What is still in flight at the end has `drain` seconds to be answered.
    """

    async def run() -> Run:
        load = _ClosedLoop(address, requests, warmup, seconds)
        for _ in range(connections):
            load.connect()
        await asyncio.sleep(load.ends - time.perf_counter())
        return await load.finish(drain)

    return _run(run)


def open_loop(
    address: Address,
    requests: Sequence[Request],
    rate: float,
    seconds: float,
    max_connections: int,
    spacing: Literal["poisson", "even"] = "poisson",
    warmup: float = 0.5,
    drain: float = 10,
    seed: int = 0,
) -> Run:
    """Requests, taken in turn, fall due at `rate` a second whatever the server does.

    One that finds no idle connection opens another, up to `max_connections`; beyond those it waits, and its latency
    counts that too. `warmup` and `drain` are as for the closed loop.
    """
    due = round(rate * (warmup + seconds))
    gaps = np.full(due, 1 / rate) if spacing == "even" else np.random.default_rng(seed).exponential(1 / rate, due)
    starts = np.cumsum(gaps)

    async def run() -> Run:
        load = _OpenLoop(address, requests, warmup, seconds, starts[starts < warmup + seconds], max_connections)
        load.dispatch()
        await asyncio.sleep(load.ends - time.perf_counter())
        return await load.finish(drain, rate)

    return _run(run)


def _run(run: Callable[[], Any]) -> Run:
    gc.collect()
    gc.disable()  # a collection would count as latency
    try:
        result: Run = uvloop.run(run())
        return result
    finally:
        gc.enable()


class _Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self, load: "_Load") -> None:
        self.load = load
        self.request: Request | None = None
        self.started = 0.0
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its class
        self.load.connections.add(self)
        self.load.free(self)

    def send(self, request: Request, started: float) -> None:
        self.request, self.started = request, started
        self.transport.write(request.wire)

    def data_received(self, data: bytes) -> None:
        self.received += data
        try:
            answer = parse(self.received)
        except ValueError:  # not HTTP
            self.received = b""
            self.transport.abort()
            return
        if answer:
            self._answered(answer)

    def _answered(self, answer: Answer) -> None:
        request, self.request = self.request, None
        surplus, self.received = self.received[answer.end :], b""
        if not request or surplus:  # bytes that nobody asked for
            self.transport.abort()
        if request:
            self.load.record(request, self.started, answer.status, answer.body)
        if answer.closes:
            self.transport.close()
        elif not self.transport.is_closing():
            self.load.free(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.load.connections.discard(self)
        if self.request and not error and (answer := parse(self.received, at_end=True)):
            self._answered(answer)
        elif self.request:
            self.load.record(self.request, self.started, BROKEN, b"")
        self.load.lost()


class _Load(ABC):
    """Records the requests that start in the measured time; what to send next is its subclasses' business."""

    def __init__(self, address: Address, requests: Sequence[Request], warmup: float, seconds: float) -> None:
        self.address = address
        self.requests = itertools.cycle(requests)
        self.seconds = seconds
        self.begins = time.perf_counter() + warmup
        self.ends = self.begins + seconds
        self.connections: set[_Connection] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.status, self.rows = array("q"), array("q")
        self.started, self.latency = array("d"), array("d")
        self.wrong = 0

    @abstractmethod
    def free(self, connection: _Connection) -> None:
        """A connection that can send."""

    def lost(self) -> None:
        """A connection has ended."""
        if time.perf_counter() < self.ends:
            self.connect()

    def waiting(self) -> Iterator[float]:
        """Starts of the requests that have no answer yet."""
        return (connection.started for connection in self.connections if connection.request)

    def connect(self) -> None:
        task = asyncio.create_task(self._connect())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _connect(self) -> None:
        while True:
            began = time.perf_counter()
            try:
                await asyncio.get_running_loop().create_connection(lambda: _Connection(self), *self.address)
                return
            except OSError:
                self.record(Request(b"", rows=0), began, BROKEN, b"")
                await asyncio.sleep(RECONNECT_SECONDS)

    def record(self, request: Request, started: float, status: int, body: bytes) -> None:
        if not self.begins <= started < self.ends:
            return
        self.latency.append(time.perf_counter() - started)
        self.started.append(started - self.begins)
        self.status.append(status)
        self.rows.append(request.rows)
        if status == 200 and request.check and not request.check(body):
            self.wrong += 1

    async def finish(self, drain: float, offered: float | None = None) -> Run:
        """Wait for what is in flight, hang up, and sum up."""
        until = time.perf_counter() + drain
        while any(self.waiting()) and time.perf_counter() < until:  # noqa: ASYNC110  an event would cost each answer
            await asyncio.sleep(0.01)
        unanswered = sum(self.begins <= started < self.ends for started in self.waiting())
        for task in self.tasks:
            task.cancel()
        for connection in self.connections:
            connection.request = None
            connection.transport.abort()
        return Run(
            self.seconds,
            offered,
            np.array(self.status),
            np.array(self.started),
            np.array(self.latency),
            np.array(self.rows),
            self.wrong,
            unanswered,
        )


class _ClosedLoop(_Load):
    def free(self, connection: _Connection) -> None:
        now = time.perf_counter()
        if now < self.ends:
            connection.send(next(self.requests), now)


class _OpenLoop(_Load):
    def __init__(
        self,
        address: Address,
        requests: Sequence[Request],
        warmup: float,
        seconds: float,
        starts: Doubles,
        max_connections: int,
    ) -> None:
        super().__init__(address, requests, warmup, seconds)
        self.due = deque((starts + self.begins - warmup).tolist())
        self.backlog: deque[float] = deque()
        self.idle: list[_Connection] = []
        self.max_connections = max_connections

    def dispatch(self) -> None:
        """Start what is due, and come back when the next is."""
        while self.due and self.due[0] <= time.perf_counter():
            self.backlog.append(self.due.popleft())
        while self.backlog and self.idle:
            if not (connection := self.idle.pop()).transport.is_closing():
                connection.send(next(self.requests), self.backlog.popleft())
        wanted = len(self.backlog) - len(self.tasks)
        for _ in range(min(wanted, self.max_connections - len(self.connections) - len(self.tasks))):
            self.connect()
        if self.due:
            loop, wait = asyncio.get_running_loop(), self.due[0] - time.perf_counter()
            if wait > SPIN_SECONDS:
                loop.call_later(wait - SPIN_SECONDS / 2, self.dispatch)
            else:
                loop.call_soon(self.dispatch)

    def free(self, connection: _Connection) -> None:
        if self.backlog:
            connection.send(next(self.requests), self.backlog.popleft())
        else:
            self.idle.append(connection)

    def lost(self) -> None:
        """The next request that finds no idle connection opens another."""

    def waiting(self) -> Iterator[float]:
        return itertools.chain(super().waiting(), self.backlog)
