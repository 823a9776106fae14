"""The HTTP/1.1 load client of all serving benchmarks: closed loop, or open loop at a given rate.

It sends prebuilt bytes over keep-alive connections and reads no more of an answer than its status and its body, so that
one core of client outruns any server here on another. Run it pinned to a core that the server does not use.
"""

import asyncio
import gc
import itertools
import time
from abc import ABC, abstractmethod
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import uvloop

Doubles = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]
Address = tuple[str, int]

BROKEN = 0
"""The status of a request whose connection was refused or broke before the whole answer came."""
RECONNECT_SECONDS = 0.05
SPIN_SECONDS = 0.002  # uvloop's timers are of whole milliseconds: closer to a start than this, the client polls


@dataclass(frozen=True, slots=True)
class Request:
    """A whole request as it goes over the wire. `check` says of the body of a 200 whether it is right."""

    wire: bytes
    rows: int = 1
    check: Callable[[bytes], bool] | None = None


@dataclass(frozen=True)
class Run:
    """What came of the requests that started in the measured `seconds`, whenever they ended; one array entry each.

    `started` (seconds since the measured time began) and `latency` (seconds) count, in an open loop, from when a
    request was due, not from when it was sent. `offered` is the open loop's rate, requests/s.
    """

    seconds: float
    offered: float | None
    status: Int64s
    started: Doubles
    latency: Doubles
    rows: Int64s
    wrong: int
    unanswered: int

    @property
    def counts(self) -> dict[int, int]:
        return dict(sorted(Counter(self.status.tolist()).items()))

    @property
    def requests_per_second(self) -> float:
        """Answered with 200."""
        return self.counts.get(200, 0) / self.seconds

    @property
    def rows_per_second(self) -> float:
        """Answered with 200."""
        return float(self.rows[self.status == 200].sum()) / self.seconds

    @property
    def failures(self) -> int:
        """Requests without a right answer of status 200."""
        return int((self.status != 200).sum()) + self.wrong + self.unanswered

    def percentile(self, q: float, status: int = 200) -> float:
        """Seconds; NaN when no answer has that status."""
        latency = self.latency[self.status == status]
        return float(np.percentile(latency, q)) if len(latency) else float("nan")

    def summary(self) -> dict[str, Any]:
        """What a results file keeps of it. Latencies in milliseconds, by status."""
        return {
            "seconds": self.seconds,
            "offered_requests_per_second": self.offered,
            "requests_per_second": round(self.requests_per_second, 2),
            "rows_per_second": round(self.rows_per_second, 1),
            "counts": {str(status): count for status, count in self.counts.items()},
            "wrong": self.wrong,
            "unanswered": self.unanswered,
            "latency_ms": {
                str(status): {f"p{q:g}": round(self.percentile(q, status) * 1e3, 3) for q in (50, 90, 99, 99.9, 100)}
                for status in self.counts
            },
        }


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


class Answer(NamedTuple):
    """A whole answer and where in the bytes it ends."""

    status: int
    body: bytes
    end: int
    closes: bool


def parse(data: bytes, at_end: bool = False) -> Answer | None:
    """The answer at the start of `data`, None while bytes are missing. `at_end`: no more bytes will come."""
    head_end = data.find(b"\r\n\r\n") + 4
    if head_end < 4:
        return None
    head = data[:head_end].lower()
    status = int(head[9:12])
    if status < 200:  # informational: the answer proper follows
        rest = parse(data[head_end:], at_end)
        return rest and rest._replace(end=rest.end + head_end)
    closes = b"\r\nconnection: close\r\n" in head or head.startswith(b"http/1.0")
    if (length := _header(head, b"\r\ncontent-length:")) is not None:
        end = head_end + int(length)
        return Answer(status, data[head_end:end], end, closes) if len(data) >= end else None
    if _header(head, b"\r\ntransfer-encoding:") == b"chunked":
        return _parse_chunks(data, head_end, status, closes)
    if status in (204, 304):
        return Answer(status, b"", head_end, closes)
    return Answer(status, data[head_end:], len(data), True) if at_end else None


def _parse_chunks(data: bytes, position: int, status: int, closes: bool) -> Answer | None:
    body = b""
    while (line_end := data.find(b"\r\n", position)) >= 0:
        size = int(data[position:line_end].partition(b";")[0], 16)
        start = line_end + 2
        position = start + size + 2
        if len(data) < position:
            return None
        if size == 0:  # no server here sends trailers
            return Answer(status, body, position, closes)
        body += data[start : start + size]
    return None


def _header(head: bytes, name: bytes) -> bytes | None:
    at = head.find(name)
    return head[at + len(name) : head.index(b"\r", at + 1)].strip() if at >= 0 else None


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
