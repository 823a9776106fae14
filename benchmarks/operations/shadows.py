"""What a shadow costs those who get the answers: the 99th percentile with one and without, at half load.

    python -m benchmarks.operations.shadows                 at half of the requests that a core can answer
    python -m benchmarks.operations.shadows --share 0.2     at what keeps a core busy for half of the time

The two are not the same: single rows that come one by one make batches of one, and those of a full core do not. Single
rows as JSON in an open loop. A round finds out what one core can answer, and is then some seconds at a share of that
without a shadow and some with one that is shown all of it, in turns which is first, with requests at the same
moments; it is short, so that the machine does to both what it does. The ratio of each round's 99th percentiles is
taken, and the median of the rounds counts; its interval of 95 % is from resampled rounds. The first second after either
release does not count. One core for the server and its shadow, one for the client.
"""

import argparse
import statistics
import time
from typing import Any

import numpy as np

from benchmarks.operations.deployment import RESULTS, Deployment, deployed
from benchmarks.record import measured_on, record
from testing.load import closed_loop, open_loop
from testing.messages import single_rows
from testing.processes import pin_client

CONNECTIONS, MAX_CONNECTIONS = 16, 64
CAPACITY_SECONDS, WARMUP, RESAMPLED = 1.5, 1, 10_000
GOALS = {
    "p99 with / without a shadow": "at most 1.1",
    "failed or wrong answers": "none",
    "share of rows that the shadow scored": "",
}


def measure(rounds: int, seconds: float, share: float) -> dict[str, Any]:
    """All rounds, and the ratios."""
    requests = single_rows()
    found: list[dict[str, Any]] = []
    rows = dict.fromkeys(("scored", "dropped"), 0.0)
    with deployed(versions=2) as server:
        closed_loop(server.address, requests, CONNECTIONS, 3)
        releases: dict[str, dict[str, Any]] = {"without": {"live": 1}, "with": {"live": 1, "shadow": {"version": 2}}}
        for number in range(rounds):
            server.release(**releases["without"])
            capacity = closed_loop(server.address, requests, CONNECTIONS, CAPACITY_SECONDS).requests_per_second
            it: dict[str, Any] = {"capacity_requests_per_second": round(capacity, 1)}
            for kind in sorted(releases, reverse=bool(number % 2)):
                server.release(**releases[kind])
                rows_before = _shadow_rows(server)
                (process,), began = server.workers(), time.perf_counter()
                before = process.cpu_times()
                rate = share * capacity
                run = open_loop(server.address, requests, rate, seconds, MAX_CONNECTIONS, warmup=WARMUP, seed=number)
                after, took = process.cpu_times(), time.perf_counter() - began
                busy = (after.user + after.system - before.user - before.system) / took
                it[kind] = {**run.summary(), "failures": run.failures, "core_busy": round(busy, 3)}
                for outcome, count in _shadow_rows(server).items():
                    rows[outcome] += count - rows_before[outcome]
            found.append(it)
        diverged = server.metrics("thimble_shadow_diverged_rows_total", above="0.0001")
    p99 = [it["with"]["latency_ms"]["200"]["p99"] / it["without"]["latency_ms"]["200"]["p99"] for it in found]
    medians = np.median(np.random.default_rng(0).choice(p99, (RESAMPLED, rounds)), axis=1)
    return {
        "ratios": {
            "p99 with / without a shadow": statistics.median(p99),
            "failed or wrong answers": sum(it[kind]["failures"] for it in found for kind in releases),
            "share of rows that the shadow scored": rows["scored"] / sum(rows.values()),
        },
        "share": share,
        "p99_ratio_interval": [round(float(q), 3) for q in np.percentile(medians, (2.5, 97.5))],
        "p99_ratio_of_each_round": [round(ratio, 3) for ratio in p99],
        "rows": rows,
        "rows_diverged": diverged,
        "rounds": found,
    }


def _shadow_rows(server: Deployment) -> dict[str, float]:
    return {it: server.metrics("thimble_shadow_rows_total", outcome=it) for it in ("scored", "dropped")}


def table(results: dict[str, Any]) -> str:
    """Markdown."""
    rounds = results["rounds"]
    capacity = statistics.median(it["capacity_requests_per_second"] for it in rounds)
    lines = [
        f"{results['processor']['name']}; single rows at {results['share']:g} of the requests that one core could "
        f"answer ({capacity:,.0f} a second), medians of {len(rounds)} rounds; commit {results['commit']}.",
        "",
        "| | core busy | p50, ms | p90, ms | p99, ms | p99.9, ms |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for kind in ("without", "with"):
        latency = [
            f"{statistics.median(it[kind]['latency_ms']['200'][p] for it in rounds):.2f}"
            for p in ("p50", "p90", "p99", "p99.9")
        ]
        busy = statistics.median(it[kind]["core_busy"] for it in rounds)
        lines.append(f"| {kind} a shadow | {busy:.0%} | {' | '.join(latency)} |")
    lines += ["", "| | measured | goal |", "| --- | ---: | --- |"]
    lines += [f"| {name} | {value:.3g} | {GOALS[name]} |" for name, value in results["ratios"].items()]
    low, high = results["p99_ratio_interval"]
    lines += ["", f"The ratio of the 99th percentiles lies between {low:.2f} and {high:.2f} (95 %)."]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="What a shadow costs those who get the answers.")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--share", type=float, default=0.5, help="of the requests that a core can answer (0.5)")
    arguments = parser.parse_args()
    pin_client()
    name = "shadows" if arguments.share == 0.5 else f"shadows-{arguments.share:g}"
    results = measured_on() | measure(arguments.rounds, arguments.seconds, arguments.share)
    record(RESULTS, name, results, table(results))
    print(table(results))


if __name__ == "__main__":
    main()
