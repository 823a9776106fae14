"""Ten minutes of single faults, one every five seconds, at six tenths of what four workers can do: who notices?

    python -m benchmarks.operations.chaos [--seconds 600] [--results FOLDER]        as root, with a C compiler

Single rows as JSON in an open loop, their scores checked. The faults are those of `faults.py`, in turn. A request that
is not answered with 200 counts against the server, though a client would ask again. A fault is over when the last
request has ended that failed or took longer than `SLOW_SECONDS`. Workers share one core, the client has the other.
`make proofs` runs it.
"""

import argparse
import itertools
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.operations.deployment import ADMIN_KEY, RESULTS, SERVE
from benchmarks.operations.faults import (
    BROKEN,
    FAULTS,
    LIVE,
    NO_SCORE_ABOVE,
    POISON_ABOVE,
    PREVIOUS,
    Target,
    allow_many_files,
    preloaded,
    small_disk,
)
from benchmarks.record import measured_on, record
from testing.artifacts import poison, spoil
from testing.load import Run, closed_loop, open_loop
from testing.messages import MODEL, NAME, single_rows
from testing.processes import MIB, free_port, pin_client, running

WORKERS, SHARE, EVERY_SECONDS, MAX_CONNECTIONS = 4, 0.6, 5.0, 64
SLOW_SECONDS = 0.25
DISK_MIB = 160
GOALS = {
    "answered": "at least 0.999",
    "wrong scores": "0",
    "longest wait, s": "at most 1",
    "longest until normal, s": "at most 5",
    "workers and readiness when the next fault came": "all",
    "memory, last tenth / first": "flat",
    "descriptors, last tenth / first": "flat",
}


@contextmanager
def served(folder: Path) -> Iterator[Target]:
    """Two good versions of the demo, on which one row is poison, a third, and a fourth whose scores are no numbers."""
    clock = folder / "clock"
    (folder / "models").mkdir()
    with small_disk(folder / "models", DISK_MIB) as repository:
        for version in (PREVIOUS, LIVE, 3, BROKEN):
            shutil.copytree(MODEL.parent, repository / NAME / str(version))
            path = repository / NAME / str(version) / MODEL.name
            if version == BROKEN:
                spoil(path, NO_SCORE_ABOVE)
            else:
                poison(path, POISON_ABOVE)
        (repository / NAME / "release.json").write_text(f'{{"live": {PREVIOUS}}}')
        port = free_port()
        command: list[str | Path] = [
            SERVE,
            repository,
            "--device",
            "cpu",
            "--workers",
            str(WORKERS),
            "--port",
            str(port),
        ]
        env = {"THIMBLE_ADMIN_KEYS": ADMIN_KEY, **preloaded(clock)}
        with running(command, port, "/readyz", env) as server:
            target = Target(server, repository, clock)
            if target.release(live=LIVE) != 200:
                raise RuntimeError(server.tail())
            yield target


class Injector(threading.Thread):
    """Brings about one fault after the other, and looks at the server just before each."""

    def __init__(self, target: Target, seconds: float) -> None:
        super().__init__(daemon=True)
        self.events: list[dict[str, Any]] = []
        self.error: BaseException | None = None
        self._target = target
        self._seconds = seconds

    def run(self) -> None:
        began = time.perf_counter()
        try:
            for fault in itertools.cycle(FAULTS):
                time.sleep(EVERY_SECONDS - (time.perf_counter() - began) % EVERY_SECONDS)
                if time.perf_counter() - began > self._seconds:
                    break
                event: dict[str, Any] = {"fault": fault.__name__, "before": state(self._target)}
                event["at"] = time.perf_counter()
                event["seen"] = fault(self._target)
                event["took_s"] = round(time.perf_counter() - event["at"], 3)
                self.events.append(event)
        except BaseException as error:
            self.error = error


def state(target: Target) -> dict[str, Any]:
    """Workers that there are, whether the server is ready, and what its workers hold."""
    found: dict[str, Any] = {"workers": 0, "rss_mib": 0.0, "descriptors": 0}
    for worker in target.workers():
        with suppress(psutil.NoSuchProcess), worker.oneshot():
            found["rss_mib"] += round(worker.memory_info().rss / MIB, 1)
            found["descriptors"] += worker.num_fds()
            found["workers"] += 1
    return found | {"ready": target.status("GET", "/readyz") == 200}


def measure(seconds: float) -> dict[str, Any]:
    """What the load met, fault by fault."""
    requests = single_rows()
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as target:
        closed_loop(target.address, requests, 16, 3)
        capacity = closed_loop(target.address, requests, 16, 10).requests_per_second
        injector = Injector(target, seconds)
        began = time.perf_counter()
        injector.start()
        run = open_loop(
            target.address, requests, SHARE * capacity, seconds + 2 * EVERY_SECONDS, MAX_CONNECTIONS, warmup=0
        )
        injector.join()
        if injector.error is not None:
            raise injector.error
        after = state(target)
    starts = [event["at"] - began for event in injector.events]
    events = [
        event | effect(run, *bounds)
        for event, bounds in zip(injector.events, pairwise([*starts, seconds + 2 * EVERY_SECONDS]), strict=True)
    ]
    return {
        "seconds": seconds,
        "capacity_requests_per_second": round(capacity, 1),
        "load": run.summary(),
        "ratios": ratios(run, events, after),
        "after": after,
        "faults": events,
    }


def effect(run: Run, at: float, until: float) -> dict[str, Any]:
    """What a fault did to the requests that ended until the next; both count as their starts do.

    One that was under way when a fault came is that fault's.
    """
    ended = run.started + run.latency
    during = (ended >= at) & (ended < until)
    bad = during & ((run.status != 200) | (run.latency > SLOW_SECONDS))
    return {
        "at": round(at, 3),
        "requests": int(during.sum()),
        "failed": int((during & (run.status != 200)).sum()),
        "longest_s": round(float(run.latency[during].max(initial=0)), 3),
        "normal_after_s": round(float(ended[bad].max() - at), 3) if bad.any() else 0.0,
    }


def ratios(run: Run, events: list[dict[str, Any]], after: dict[str, Any]) -> dict[str, float]:
    """What the goals are about."""
    states = [event["before"] for event in events] + [after]
    tenth = max(len(states) // 10, 1)

    def grown(what: str) -> float:
        first, last = (statistics.median(float(it[what]) for it in part) for part in (states[:tenth], states[-tenth:]))
        return round(last / first, 3)

    return {
        "answered": float((run.status == 200).sum()) / (len(run.status) + run.unanswered),
        "wrong scores": run.wrong,
        "longest wait, s": round(float(np.max(run.latency)), 3),
        "longest until normal, s": max(event["normal_after_s"] for event in events),
        "workers and readiness when the next fault came": sum(it["workers"] == WORKERS and it["ready"] for it in states)
        / len(states),
        "memory, last tenth / first": grown("rss_mib"),
        "descriptors, last tenth / first": grown("descriptors"),
    }


def table(results: dict[str, Any]) -> str:
    """Markdown."""
    load, latency = results["load"], results["load"]["latency_ms"]["200"]
    lines = [
        f"{results['processor']['name']}; {len(results['faults'])} faults in {results['seconds']:,.0f} s, at "
        f"{load['offered_requests_per_second']:,.0f} requests/s, {SHARE:g} of the "
        f"{results['capacity_requests_per_second']:,.0f} that {WORKERS} workers on one core answered; commit "
        f"{results['commit']}.",
        "",
        f"Answers by status (0: the connection broke): {load['counts']}; unanswered {load['unanswered']}; "
        f"p50 {latency['p50']:.2f} ms, p99 {latency['p99']:.2f} ms, p99.9 {latency['p99.9']:.2f} ms.",
        "",
        "| | | goal |",
        "| --- | ---: | ---: |",
        *(f"| {name} | {value:.6g} | {GOALS[name]} |" for name, value in results["ratios"].items()),
        "",
        f"| fault | times | requests that failed | longest wait, s | until none failed or took {SLOW_SECONDS:g} s, s |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for fault in FAULTS:
        events = [event for event in results["faults"] if event["fault"] == fault.__name__]
        if events:
            failed, longest = sum(it["failed"] for it in events), max(it["longest_s"] for it in events)
            normal = max(it["normal_after_s"] for it in events)
            what = (fault.__doc__ or "").rstrip(".")
            lines.append(f"| {what} | {len(events)} | {failed} | {longest:.2f} | {normal:.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Ten minutes of single faults, one every five seconds.")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--results", type=Path, default=RESULTS, help="a folder [results/ beside this file]")
    arguments = parser.parse_args()
    pin_client()
    allow_many_files()
    results = measured_on() | measure(arguments.seconds)
    record(arguments.results, "chaos", results, table(results))
    print(table(results))


if __name__ == "__main__":
    main()
