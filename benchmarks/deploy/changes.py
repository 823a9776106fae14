"""What new versions, a rolling restart and a killed replica do to those who get answers from four replicas.

    docker build -t thimble:cpu .
    python -m benchmarks.deploy.changes

A load of single rows goes through the proxy, golden ones among them, whose scores are checked. A version counts from
when it has its place in the volume to when each replica, asked by itself, answers with it.
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.record import measured_on, record
from testing.docker import Stack, docker, loaded, outcome, stack, version, wait_for

RESULTS = Path(__file__).parent / "results"
REPLICAS, VERSIONS, RATE = 4, 4, 200.0
BEFORE_SECONDS, AFTER_SECONDS = 5, 10
GOALS = {"new version live on all, longest, s": "at most 5", "failed requests": "0"}


def new_versions(running: Stack) -> dict[str, Any]:
    live: list[float] = []
    with loaded(running, RATE) as runs:
        for version in range(2, 2 + VERSIONS):
            written = running.write_version(version)
            wanted = [version] * REPLICAS
            wait_for(lambda wanted=wanted: running.versions() == wanted, f"version {version} everywhere")  # type: ignore[misc]
            live.append(time.time() - written)
    return {"live_s": live, **outcome(runs)}


def rollout(running: Stack) -> dict[str, Any]:
    with loaded(running, RATE) as runs:
        began = time.perf_counter()
        running.roll()
        took = time.perf_counter() - began
    return {"seconds": took, **outcome(runs)}


def kill(running: Stack) -> dict[str, Any]:
    with loaded(running, RATE) as runs:
        time.sleep(BEFORE_SECONDS)
        docker("kill", running.replicas()[0])
        time.sleep(AFTER_SECONDS)
    return outcome(runs)


def measure() -> dict[str, Any]:
    with stack("thimble-benchmark", REPLICAS) as running:
        load = {"versions": new_versions(running), "rollout": rollout(running), "kill": kill(running)}
    return {
        **load,
        "goals": {
            "new version live on all, longest, s": max(load["versions"]["live_s"]),
            "failed requests": sum(it["failed"] for it in load.values()),
        },
    }


def table(results: dict[str, Any]) -> str:
    """Markdown."""
    live = ", ".join(f"{seconds:.1f}" for seconds in results["versions"]["live_s"])
    names = {
        "versions": f"{VERSIONS} new versions, live after {live} s",
        "rollout": f"all replaced, one after the other, in {results['rollout']['seconds']:.0f} s",
        "kill": "one killed",
    }
    lines = [
        f"{results['processor']['name']}, Docker {results['docker']}; {REPLICAS} replicas and {RATE:g} single rows a "
        f"second, all on one machine; commit {results['commit']}.",
        "",
        "| | measured | goal |",
        "| --- | ---: | ---: |",
        *(f"| {name} | {value:.3g} | {GOALS[name]} |" for name, value in results["goals"].items()),
        "",
        "| | requests | failed | p99 of each 2 s, ms, median and highest |",
        "| --- | ---: | ---: | ---: |",
    ]
    for kind, name in names.items():
        it = results[kind]
        p99 = f"{statistics.median(it['p99_ms']):.1f}, {max(it['p99_ms']):.1f}"
        lines.append(f"| {name} | {it['requests']:,} | {it['failed']} | {p99} |")
    return "\n".join(lines)


def main() -> None:
    argparse.ArgumentParser(description="New versions, a rolling restart and a killed replica.").parse_args()
    results = measured_on() | {"docker": version()} | measure()
    record(RESULTS, "changes", results, table(results))
    print(table(results))


if __name__ == "__main__":
    main()
