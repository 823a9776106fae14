"""How soon a container scores, and what twenty replicas weigh.

    docker build -t thimble:cpu .
    python -m benchmarks.deploy.replicas

Needs Docker on this machine, and root, to weigh processes of other users. A start counts from the command `docker run`
to the first score. Replicas are ready when each has given a score; they are weighed when each has answered some hundred
requests, in two ways: by the memory of their processes, in which a page that several share counts once in all
(proportional set size), and by what became unavailable on the machine, which Docker's own processes and the kernel's
part of it.
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import httpx

from benchmarks.record import measured_on, record
from testing.docker import IMAGE, LOCKED, ROW, docker, scores, stack, version, wait_for
from testing.processes import MIB, free_port

RESULTS = Path(__file__).parent / "results"
STARTS, MANY, REQUESTS = 10, 20, 200
SETTLE_SECONDS = 3
GOALS = {
    "docker run to first score, median, s": "at most 2",
    "docker run to first score, longest, s": "at most 2",
    "20 replicas ready, s": "at most 60",
    "20 replicas that answer": "20",
    "20 replicas, processes, GiB": "at most 4",
    "20 replicas, machine, GiB": "at most 4",
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
    with stack("thimble-benchmark", 1, "thimble") as running:
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


def measure() -> dict[str, Any]:
    starts = [start() for _ in range(STARTS)]
    found = many()
    return {
        "starts_s": starts,
        "many": found,
        "goals": {
            "docker run to first score, median, s": statistics.median(starts),
            "docker run to first score, longest, s": max(starts),
            "20 replicas ready, s": found["ready_s"],
            "20 replicas that answer": found["answering"],
            "20 replicas, processes, GiB": sum(it["pss"] for it in found["replicas_mib"]) / 1024,
            "20 replicas, machine, GiB": found["machine_mib"] / 1024,
        },
    }


def table(results: dict[str, Any]) -> str:
    """Markdown."""
    replicas = results["many"]["replicas_mib"]
    kinds = (("pss", "proportional"), ("uss", "unshared"), ("rss", "resident"))
    weights = [f"{statistics.median(it[kind] for it in replicas):.1f} {name}" for kind, name in kinds]
    lines = [
        f"{results['processor']['name']}, Docker {results['docker']}; commit {results['commit']}.",
        "",
        "| | measured | goal |",
        "| --- | ---: | ---: |",
        *(f"| {name} | {value:.3g} | {GOALS[name]} |" for name, value in results["goals"].items()),
        "",
        f"One replica of the {len(replicas)}, MiB, median: {', '.join(weights)}; the machine lost "
        f"{results['many']['machine_mib'] / len(replicas):.1f} for each.",
    ]
    return "\n".join(lines)


def main() -> None:
    argparse.ArgumentParser(description="Starts and memory of containers.").parse_args()
    results = measured_on() | {"docker": version()} | measure()
    record(RESULTS, "replicas", results, table(results))
    print(table(results))


if __name__ == "__main__":
    main()
