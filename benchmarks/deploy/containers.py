"""How soon an image scores, what twenty replicas weigh, and how soon a new version is live on four of them.

    docker build -t thimble:cpu .
    python -m benchmarks.deploy.containers

Needs Docker on this machine, and root, to weigh processes of other users. A start counts from the command `docker run`
to the first score. Replicas are weighed when each has answered some hundred requests, in two ways: by the memory of
their processes, in which a page that several share counts once in all (proportional set size), and by what became
unavailable on the machine, which Docker's own processes and the kernel's part of it. A version counts from when it has
its place in the volume to when each replica, asked by itself, answers with it, under a load of single rows through the
proxy. The rolling restart and the killed replica are under that load too.
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import httpx

from benchmarks.deploy.docker import (
    IMAGE,
    LOCKED,
    ROW,
    Stack,
    docker,
    inspect,
    loaded,
    outcome,
    record,
    scores,
    stack,
    wait_for,
)
from benchmarks.serving.processes import MIB, free_port

STARTS, MANY, FEW, VERSIONS, REQUESTS, RATE = 10, 20, 4, 5, 200, 200.0
PROJECT = "thimble-benchmark"
SETTLE_SECONDS = 3
GOALS = {
    "docker run to first score, s": "at most 2",
    "20 replicas ready, s": "at most 60",
    "20 replicas that answer": "20",
    "20 replicas, processes, GiB": "at most 4",
    "20 replicas, machine, GiB": "at most 4",
    "new version live on 4 replicas, longest, s": "at most 5",
    "failed requests": "0",
}


def start() -> float:
    """Seconds from docker run to a score."""
    port = free_port()
    began = time.perf_counter()
    name = docker("run", "--detach", *LOCKED, "--publish", f"127.0.0.1:{port}:8000", IMAGE)
    try:
        wait_for(lambda: scores(f"http://127.0.0.1:{port}"), "a score", pause=0.01)
        return time.perf_counter() - began
    finally:
        docker("rm", "--force", name)


def available() -> int:
    """Bytes that the machine can give to new processes."""
    (line,) = (line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable"))
    return int(line.split()[1]) * 1024


def weight(container: str) -> dict[str, float]:
    """MiB of all processes of a container: proportional, unshared and resident."""
    found = {"Pss": 0.0, "Private_Clean": 0.0, "Private_Dirty": 0.0, "Rss": 0.0}
    for pid in docker("top", container, "-o", "pid").split()[1:]:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
            name, value = line.split()[:2]
            if name[:-1] in found:
                found[name[:-1]] += int(value) / 1024
    return {"pss": found["Pss"], "uss": found["Private_Clean"] + found["Private_Dirty"], "rss": found["Rss"]}


def many() -> dict[str, Any]:
    """Twenty replicas."""
    with stack(PROJECT, 1, "thimble") as running:
        running.compose("stop", "thimble")  # the network, the volume and Docker's caches are there
        time.sleep(SETTLE_SECONDS)
        before, began = available(), time.perf_counter()
        running.up(MANY, "thimble")
        answering = sum(scores(url) for url in running.addresses())
        ready = time.perf_counter() - began
        for url in running.addresses():
            with httpx.Client() as client:
                for _ in range(REQUESTS):
                    client.post(f"{url}/v1/score", json=ROW).raise_for_status()
        time.sleep(SETTLE_SECONDS)
        taken = before - available()
        replicas = [weight(replica) for replica in running.replicas()]
        return {"ready_s": ready, "answering": answering, "machine_mib": taken / MIB, "replicas_mib": replicas}


def under_load(running: Stack) -> dict[str, Any]:
    """New versions, a rollout and a killed replica, each with what came of the requests meanwhile."""
    live: list[float] = []
    with loaded(running, RATE) as versions:
        for version in range(2, 2 + VERSIONS):
            written = running.write_version(version)
            wait_for(lambda wanted=version: set(running.versions()) == {wanted}, f"version {version} everywhere")  # type: ignore[misc]
            live.append(time.time() - written)
    with loaded(running, RATE) as rollout:
        began = time.perf_counter()
        running.roll()
        took = time.perf_counter() - began
    with loaded(running, RATE) as kill:
        time.sleep(5)
        docker("kill", running.replicas()[0])
        time.sleep(10)
    return {
        "versions": {"live_s": live, **outcome(versions)},
        "rollout": {"seconds": took, **outcome(rollout)},
        "kill": outcome(kill),
    }


def measure() -> dict[str, Any]:
    starts = [start() for _ in range(STARTS)]
    twenty = many()
    with stack(PROJECT, FEW) as running:
        load = under_load(running)
    return {
        "image": {"bytes": inspect(IMAGE)["Size"]},
        "starts_s": starts,
        "many": twenty,
        "load": load,
        "goals": {
            "docker run to first score, s": statistics.median(starts),
            "20 replicas ready, s": twenty["ready_s"],
            "20 replicas that answer": twenty["answering"],
            "20 replicas, processes, GiB": sum(it["pss"] for it in twenty["replicas_mib"]) / 1024,
            "20 replicas, machine, GiB": twenty["machine_mib"] / 1024,
            "new version live on 4 replicas, longest, s": max(load["versions"]["live_s"]),
            "failed requests": sum(it["failed"] for it in load.values()),
        },
    }


def table(results: dict[str, Any]) -> str:
    """Markdown."""
    replicas, load = results["many"]["replicas_mib"], results["load"]
    lines = [
        f"{results['processor']['name']}, Docker {results['docker']}; commit {results['commit']}.",
        "",
        "| | measured | goal |",
        "| --- | ---: | ---: |",
        *(f"| {name} | {value:.3g} | {GOALS[name]} |" for name, value in results["goals"].items()),
        "",
        f"Starts, s: median {statistics.median(results['starts_s']):.2f}, longest {max(results['starts_s']):.2f}, of "
        f"{len(results['starts_s'])}. A replica of {len(replicas)}, MiB: "
        + ", ".join(
            f"{statistics.median(it[kind] for it in replicas):.1f} {name}"
            for kind, name in (("pss", "proportional"), ("uss", "unshared"), ("rss", "resident"))
        )
        + f"; the machine lost {results['many']['machine_mib'] / len(replicas):.1f} for each.",
        "",
        f"Under {RATE:g} single rows a second:",
        "",
        "| | requests | failed | p99, ms, median and highest of each 2 s |",
        "| --- | ---: | ---: | ---: |",
    ]
    for kind, name in (
        (
            "versions",
            f"{VERSIONS} new versions, live after {', '.join(f'{s:.1f}' for s in load['versions']['live_s'])} s",
        ),
        ("rollout", f"{FEW} replicas replaced in {load['rollout']['seconds']:.0f} s"),
        ("kill", "a replica killed"),
    ):
        it = load[kind]
        p99 = f"{statistics.median(it['p99_ms']):.1f}, {max(it['p99_ms']):.1f}"
        lines.append(f"| {name} | {it['requests']:,} | {it['failed']} | {p99} |")
    return "\n".join(lines)


def main() -> None:
    argparse.ArgumentParser(description="Starts, memory, new versions and restarts of containers.").parse_args()
    record("containers", measure(), table)


if __name__ == "__main__":
    main()
