"""What a shadow costs those who get the answers: the 99th percentile with one and without, at half load.

    python -m benchmarks.operations.shadows

Single rows as JSON in an open loop at half of what one core can answer. Rounds without and with a shadow, which is
shown all of it, take turns; the ratio of each round's 99th percentiles is taken, and the median of the rounds counts.
One core for the server and its shadow, one for the client.
"""

import argparse
import statistics
from typing import Any

from benchmarks.operations.deployment import deployed, in_this_tree, record, single_rows
from benchmarks.serving.load import closed_loop, open_loop
from benchmarks.serving.processes import pin_client

CONNECTIONS, MAX_CONNECTIONS, SHARE = 16, 64, 0.5
GOALS = {
    "p99 with / without a shadow": "at most 1.1",
    "failed or wrong answers": "none",
    "share of rows that the shadow scored": "",
}


def measure(rounds: int, seconds: float) -> dict[str, Any]:
    """All rounds, and the ratios."""
    requests = single_rows()
    found: list[dict[str, Any]] = []
    with deployed(versions=2) as server:
        closed_loop(server.address, requests, CONNECTIONS, 3)
        capacity = closed_loop(server.address, requests, CONNECTIONS, 10).requests_per_second

        def loaded() -> dict[str, Any]:
            run = open_loop(server.address, requests, SHARE * capacity, seconds, MAX_CONNECTIONS)
            return {**run.summary(), "failures": run.failures}

        for _ in range(rounds):
            server.release(live=1)
            without = loaded()
            server.release(live=1, shadow={"version": 2})
            found.append({"without": without, "with": loaded()})
        scored, dropped = (
            server.metrics("thimble_shadow_rows_total", outcome=outcome) for outcome in ("scored", "dropped")
        )
        diverged = server.metrics("thimble_shadow_diverged_rows_total", above="0.0001")
    p99 = [it["with"]["latency_ms"]["200"]["p99"] / it["without"]["latency_ms"]["200"]["p99"] for it in found]
    return {
        "ratios": {
            "p99 with / without a shadow": statistics.median(p99),
            "failed or wrong answers": sum(run["failures"] for it in found for run in it.values()),
            "share of rows that the shadow scored": scored / (scored + dropped),
        },
        "p99_ratio_of_each_round": [round(ratio, 3) for ratio in p99],
        "capacity_requests_per_second": round(capacity, 1),
        "rows_scored": scored,
        "rows_dropped": dropped,
        "rows_diverged": diverged,
        "rounds": found,
    }


def table(results: dict[str, Any]) -> str:
    """Markdown."""
    rounds = results["rounds"]
    lines = [
        f"{results['processor']['name']}; single rows at half of the {results['capacity_requests_per_second']:,.0f} "
        f"requests/s that one core answered, medians of {len(rounds)} rounds; commit {results['commit']}.",
        "",
        "| | p50, ms | p90, ms | p99, ms | p99.9, ms |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for kind in ("without", "with"):
        latency = [
            f"{statistics.median(it[kind]['latency_ms']['200'][p] for it in rounds):.2f}"
            for p in ("p50", "p90", "p99", "p99.9")
        ]
        lines.append(f"| {kind} a shadow | {' | '.join(latency)} |")
    lines += ["", "| | measured | goal |", "| --- | ---: | --- |"]
    lines += [f"| {name} | {value:.3g} | {GOALS[name]} |" for name, value in results["ratios"].items()]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="What a shadow costs those who get the answers.")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=15)
    arguments = parser.parse_args()
    in_this_tree()
    pin_client()
    record("shadows", measure(arguments.rounds, arguments.seconds), table)


if __name__ == "__main__":
    main()
