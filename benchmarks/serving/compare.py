"""Thimble beside other servers: the same file, rows, session settings and core, and the same wire where they speak it.

    make ops
    python -m benchmarks.serving.rivals.setup
    python -m benchmarks.serving.compare [--rounds 3] [--seconds 2.5] [--limit-ms 50] [--servers thimble plain ...]

Every round starts each server in turn alone on core 0, loads it from core 1 in every scenario and wire, and stops it;
the last round also looks for the highest open-loop rate (Poisson) whose p99 stays under the limit, by bisection. A
sixteenth of the requests are golden rows whose scores are checked. Writes results/rivals.json and .md beside this file.
"""

import argparse
import os
import platform
import signal
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.record import processor, record
from benchmarks.serving.rivals.session import LIBRARY
from benchmarks.serving.servers import CANDIDATES, Builder, Candidate
from testing.load import Address, Request, Run, closed_loop, open_loop
from testing.messages import golden_rows, random_rows
from testing.processes import Memory, free_port, pin_client, running
from thimble.models.features import Batch

RESULTS = Path(__file__).parent / "results"
POOL, GOLDEN_EVERY = 64, 16
PROBES = 4
PROBE_SECONDS = 1.5


@dataclass(frozen=True)
class Scenario:
    """`connections` are those of the closed loop; the open loop may use `crowd` of them."""

    rows: int
    connections: int
    crowd: int

    @property
    def title(self) -> str:
        return f"{self.rows} {'row' if self.rows == 1 else 'rows'} a request, {self.connections} connections"


SCENARIOS = [Scenario(1, 16, 256), Scenario(64, 8, 128), Scenario(256, 4, 64)]


@dataclass
class Cell:
    """What one server did in one scenario over one wire. `rate` is in requests/s, None while it was not looked for."""

    server: str
    wire: str
    scenario: Scenario
    runs: list[Run] = field(default_factory=list)
    rate: float | None = None
    probes: list[dict[str, Any]] = field(default_factory=list)

    @property
    def failures(self) -> int:
        return sum(run.failures for run in self.runs)

    def median(self, figure: Callable[[Run], float]) -> float:
        return statistics.median(figure(run) for run in self.runs)


def pool(build: Builder, rows: int) -> list[Request]:
    """Requests of random rows, and some of golden rows with their scores."""
    golden, scores = golden_rows()
    random = random_rows(POOL * rows)
    requests = []
    for i in range(POOL):
        part = np.arange(i * rows, (i + 1) * rows)
        if i % GOLDEN_EVERY:
            requests.append(build(Batch(random.dense[part], random.ids[part]), None))
        else:
            part = (i // GOLDEN_EVERY * rows + np.arange(rows)) % len(scores)
            requests.append(build(Batch(golden.dense[part], golden.ids[part]), scores[part]))
    return requests


def highest_rate(address: Address, requests: list[Request], cell: Cell, limit: float) -> float:
    """The highest rate, requests/s, at which all is answered rightly and p99 stays under `limit` seconds.

    Sought between nothing and the closed loop's throughput, or that and its double; a rate must fail twice to count as
    too high, for the machine has its hiccups.
    """

    def holds(rate: float) -> bool:
        for _ in range(2):
            # one answer, so that what an earlier rate left in the server's queue is done
            closed_loop(address, requests[:1], 1, seconds=0.1, warmup=0)
            # what is unanswered at the end of this drain has taken longer than the limit
            run = open_loop(address, requests, rate, PROBE_SECONDS, cell.scenario.crowd, drain=limit)
            held = not run.failures and run.percentile(99) <= limit
            cell.probes.append({**run.summary(), "held": held})
            if held:
                return True
        return False

    low, high = 0.0, cell.median(lambda run: run.requests_per_second)
    if holds(high):
        low, high = high, high * 2
    for _ in range(PROBES):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def measure(
    candidates: list[Candidate], rounds: int, seconds: float, limit: float
) -> tuple[list[Cell], dict[str, Memory]]:
    cells: dict[tuple[str, str, Scenario], Cell] = {}
    memory: dict[str, Memory] = {}
    requests = {
        (build, scenario): pool(build, scenario.rows)
        for candidate in candidates
        for build in candidate.wires.values()
        for scenario in SCENARIOS
        if scenario.rows <= candidate.most_rows
    }
    for number in range(rounds):
        for candidate in candidates:
            port = free_port()
            with running([*candidate.command, str(port)], port, candidate.ready, candidate.env) as server:
                for scenario in SCENARIOS:
                    if scenario.rows > candidate.most_rows:
                        continue
                    for wire, build in candidate.wires.items():
                        key = (candidate.name, wire, scenario)
                        cell = cells.setdefault(key, Cell(*key))
                        load = requests[build, scenario]
                        cell.runs.append(closed_loop(server.address, load, scenario.connections, seconds))
                        if number == rounds - 1 and not cell.failures:
                            cell.rate = highest_rate(server.address, load, cell, limit)
                memory[candidate.name] = server.memory()
            print(f"round {number + 1} of {rounds}: {candidate.name}", file=sys.stderr, flush=True)
    return list(cells.values()), memory


def page(result: dict[str, Any], cells: list[Cell]) -> str:
    limit = f"{result['limit_ms']:g} ms"
    lines = [
        f"{result['processor']}; server on one core, client on another; onnxruntime {result['onnxruntime']}, "
        f"one thread, {result['lookup']} lookup; medians of {result['rounds']} rounds of {result['seconds']:g} s, "
        "taken in turns.",
        "",
        f"`{result['command']}`",
    ]
    for scenario in SCENARIOS:
        lines += [
            "",
            f"### {scenario.title}",
            "",
            f"| server | wire | rows/s | p50, ms | p99, ms | rows/s at p99 under {limit} |",
            "| --- | --- | ---: | ---: | ---: | ---: |",
        ]
        for cell in (cell for cell in cells if cell.scenario == scenario):
            name = f"| {cell.server} {result['versions'][cell.server]} | {cell.wire} | "
            if cell.failures:
                lines.append(f"{name}{cell.failures} requests failed | | | |")
                continue
            rows = cell.median(lambda run: run.rows_per_second)
            p50 = cell.median(lambda run: run.percentile(50)) * 1e3
            p99 = cell.median(lambda run: run.percentile(99)) * 1e3
            lines.append(f"{name}{rows:,.0f} | {p50:.1f} | {p99:.1f} | {(cell.rate or 0) * scenario.rows:,.0f} |")
    lines += ["", "| server | processes | memory, MiB |", "| --- | ---: | ---: |"]
    for name, weight in result["memory"].items():
        lines.append(f"| {name} | {weight['processes']} | {weight['uss']:.0f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.5)
    parser.add_argument("--limit-ms", type=float, default=50)
    names = [candidate.name for candidate in CANDIDATES]
    parser.add_argument("--servers", nargs="+", choices=names, default=names)
    given = parser.parse_args()
    candidates = [candidate for candidate in CANDIDATES if candidate.name in given.servers]
    result: dict[str, Any] = {
        "command": " ".join(["python -m benchmarks.serving.compare", *sys.argv[1:]]),
        "processor": processor()["name"],
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "onnxruntime": onnxruntime.__version__,
        "lookup": "native" if LIBRARY.is_file() else "function's",
        "rounds": given.rounds,
        "seconds": given.seconds,
        "limit_ms": given.limit_ms,
        "versions": {candidate.name: candidate.version for candidate in candidates},
    }
    pin_client()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # not without stopping the server
    began = time.monotonic()
    cells, memory = measure(candidates, given.rounds, given.seconds, given.limit_ms / 1e3)
    result["took_seconds"] = round(time.monotonic() - began)
    result["memory"] = {name: asdict(weight) for name, weight in memory.items()}
    result["cells"] = [
        {
            "server": cell.server,
            "wire": cell.wire,
            **asdict(cell.scenario),
            "rate_at_limit": cell.rate,
            "runs": [run.summary() for run in cell.runs],
            "probes": cell.probes,
        }
        for cell in cells
    ]
    record(RESULTS, "rivals", result, page(result, cells))
    print(page(result, cells), end="")


if __name__ == "__main__":
    main()
