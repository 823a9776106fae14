"""An hour at four fifths of what a core can do, with a release a minute: nothing grows.

    python -m benchmarks.operations.soak [--seconds 3600] [--results FOLDER]

Single rows as JSON and batches of 64 rows as binary tensors, in an open loop. Memory, file descriptors and threads are
read every five seconds, and the medians of the first and of the last tenth of the readings are compared; the first
minute does not count. One core for the server, one for the client. `make proofs` runs it.
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.operations.deployment import RESULTS, Background, deployed
from benchmarks.record import measured_on, record
from testing.load import closed_loop, open_loop
from testing.messages import infer_binary, random_rows, single_rows
from testing.processes import pin_client

SHARE, WARM_UP_SECONDS, READ_SECONDS, RELEASE_SECONDS = 0.8, 60, 5, 60
MAX_CONNECTIONS = 64


def measure(seconds: float) -> dict[str, Any]:
    """What the load met, and the readings."""
    requests = [*single_rows(), infer_binary(random_rows(64))]
    with deployed() as server:
        closed_loop(server.address, requests, 16, 3)
        for version in (2, 3, 1):
            server.release(live=version)
        capacity = closed_loop(server.address, requests, 16, 10).requests_per_second
        began = time.monotonic()
        readings: list[dict[str, float]] = []

        def read(_: int) -> float:
            readings.append({"second": round(time.monotonic() - began, 1), **server.resources()})
            return 0

        reader = Background(read, READ_SECONDS)
        releases = Background(lambda i: server.release(live=2 + i % 2), RELEASE_SECONDS)
        reader.start()
        releases.start()
        load = open_loop(server.address, requests, SHARE * capacity, seconds, MAX_CONNECTIONS)
        reader.stop()
        releases.stop()
    settled = [reading for reading in readings if reading["second"] > min(WARM_UP_SECONDS, seconds / 10)]
    tenth = max(len(settled) // 10, 1)

    def grown(what: str) -> dict[str, float]:
        first, last = (statistics.median(it[what] for it in part) for part in (settled[:tenth], settled[-tenth:]))
        return {"first": round(first, 1), "last": round(last, 1), "highest": round(max(it[what] for it in settled), 1)}

    return {
        "seconds": seconds,
        "capacity_requests_per_second": round(capacity, 1),
        "load": load.summary(),
        "releases": len(releases.results),
        "growth": {what: grown(what) for what in ("rss_mib", "descriptors", "threads")},
        "readings": readings,
    }


def table(results: dict[str, Any]) -> str:
    """Markdown."""
    load, name = results["load"], results["processor"]["name"]
    latency = load["latency_ms"]["200"]
    lines = [
        f"{name}; {results['seconds']:,.0f} s at {load['offered_requests_per_second']:,.0f} requests/s, {SHARE:g} of "
        f"the {results['capacity_requests_per_second']:,.0f} that one core answered, with {results['releases']} "
        f"releases; commit {results['commit']}.",
        "",
        f"Answers by status: {load['counts']}, wrong {load['wrong']}, unanswered {load['unanswered']}; "
        f"p50 {latency['p50']:.2f} ms, p99 {latency['p99']:.2f} ms.",
        "",
        "| | first tenth | last tenth | highest |",
        "| --- | ---: | ---: | ---: |",
    ]
    names = {"rss_mib": "resident memory, MiB", "descriptors": "file descriptors", "threads": "threads"}
    for what, values in results["growth"].items():
        lines.append(f"| {names[what]} | {values['first']:g} | {values['last']:g} | {values['highest']:g} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="An hour at four fifths of what a core can do.")
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--results", type=Path, default=RESULTS, help="a folder [results/ beside this file]")
    arguments = parser.parse_args()
    pin_client()
    results = measured_on() | measure(arguments.seconds)
    record(arguments.results, "soak", results, table(results))
    print(table(results))


if __name__ == "__main__":
    main()
