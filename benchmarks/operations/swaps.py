"""A hundred releases in a row under full load, and the way back.

    python -m benchmarks.operations.swaps

Single rows as JSON, as fast as 16 connections get them answered by one core. A round is some seconds without releases
and some in which one release follows the other, each of a version that has to be verified and loaded, in turns which is
first. The ratio of each round's 99th percentiles is taken, and the median of the rounds counts. Memory is read when
three releases were made, since from then on the version before is kept, and after the last, each time when the server
has given back what it holds for a next release.
A rollback goes to a version that is still loaded. One core for the server and all that it starts, one for the client.
"""

import argparse
import statistics
import time
from typing import Any

from benchmarks.operations.deployment import RESULTS, Background, deployed
from benchmarks.record import measured_on, record
from testing.load import Run, closed_loop
from testing.messages import NAME, single_rows
from testing.processes import pin_client
from thimble.service.releases.sandbox.host import IDLE_SECONDS

CONNECTIONS, VERSIONS = 16, 3
GIVEN_BACK_SECONDS = IDLE_SECONDS + 2
GOALS = {
    "failed requests": "none",
    "p99 during / without releases": "at most 1.2",
    "memory after / before": "0.95 to 1.05",
    "releases": "at least 100",
}


def measure(rounds: int, seconds: float) -> dict[str, Any]:
    """All rounds, and the ratios."""
    requests = single_rows()
    with deployed(versions=VERSIONS) as server:
        live = 1

        def release_next(_: int) -> float:
            nonlocal live
            live = live % VERSIONS + 1
            return server.release(live=live)

        closed_loop(server.address, requests, CONNECTIONS, 3)
        for _ in range(VERSIONS):
            release_next(0)
        time.sleep(GIVEN_BACK_SECONDS)
        before = server.resources()
        found: list[dict[str, Any]] = []

        def loaded() -> Run:
            run = closed_loop(server.address, requests, CONNECTIONS, seconds)
            if run.failures:
                print(f"failures: {run.counts}, wrong {run.wrong}")
            return run

        def loaded_and_released() -> tuple[Run, list[float]]:
            releases = Background(release_next)
            releases.start()
            return loaded(), releases.stop()

        for number in range(rounds):
            if number % 2:
                busy, taken = loaded_and_released()
                calm = loaded()
            else:
                calm = loaded()
                busy, taken = loaded_and_released()
            found.append({"calm": calm.summary(), "busy": busy.summary(), "releases": taken, **server.resources()})
        time.sleep(GIVEN_BACK_SECONDS)
        after = server.resources()
        back = Background(lambda i: server.release(live=live if i % 2 else (live - 2) % VERSIONS + 1), 0.1)
        back.start()
        closed_loop(server.address, requests, CONNECTIONS, 10)
        rollbacks = back.stop()
        refused = server.metrics("thimble_release_changes_total", model=NAME, outcome="refused")
    releases_took = [took for it in found for took in it["releases"]]
    p99 = [it["busy"]["latency_ms"]["200"]["p99"] / it["calm"]["latency_ms"]["200"]["p99"] for it in found]
    failed = sum(
        count
        for it in found
        for run in (it["calm"], it["busy"])
        for count in [run["wrong"], run["unanswered"], *(n for status, n in run["counts"].items() if status != "200")]
    )
    return {
        "ratios": {
            "failed requests": failed,
            "p99 during / without releases": statistics.median(p99),
            "memory after / before": after["rss_mib"] / before["rss_mib"],
            "releases": len(releases_took),
        },
        "p99_ratio_of_each_round": [round(ratio, 3) for ratio in p99],
        "seconds_a_release": {"median": statistics.median(releases_took), "longest": max(releases_took)},
        "milliseconds_a_rollback": {
            "median": statistics.median(rollbacks) * 1e3,
            "longest": max(rollbacks) * 1e3,
            "count": len(rollbacks),
        },
        "refused": refused,
        "before": before,
        "after": after,
        "rounds": found,
    }


def table(results: dict[str, Any]) -> str:
    """Markdown."""
    rounds, back = results["rounds"], results["milliseconds_a_rollback"]

    def median(kind: str, *keys: str) -> float:
        values: list[float] = []
        for it in rounds:
            value = it[kind]
            for key in keys:
                value = value[key]
            values.append(value)
        return statistics.median(values)

    lines = [
        f"{results['processor']['name']}; single rows over {CONNECTIONS} connections, medians of {len(rounds)} rounds; "
        f"commit {results['commit']}.",
        "",
        "| | requests/s | p50, ms | p99, ms | p99.9, ms |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for kind, name in (("calm", "without releases"), ("busy", "one release after the other")):
        latency = [f"{median(kind, 'latency_ms', '200', p):.2f}" for p in ("p50", "p99", "p99.9")]
        lines.append(f"| {name} | {median(kind, 'requests_per_second'):,.0f} | {' | '.join(latency)} |")
    lines += ["", "| | measured | goal |", "| --- | ---: | --- |"]
    for name, value in results["ratios"].items():
        lines.append(f"| {name} | {value:.3g} | {GOALS[name]} |")
    lines += [
        "",
        f"A release took {results['seconds_a_release']['median']:.2f} s under that load (the longest "
        f"{results['seconds_a_release']['longest']:.2f} s), a rollback {back['median']:.1f} ms (the longest of "
        f"{back['count']}: {back['longest']:.1f} ms). Resident memory, MiB: {results['before']['rss_mib']:.0f} before, "
        f"{results['after']['rss_mib']:.0f} after.",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="A hundred releases in a row under full load.")
    parser.add_argument("--rounds", type=int, default=18)
    parser.add_argument("--seconds", type=float, default=25)
    arguments = parser.parse_args()
    pin_client()
    results = measured_on() | measure(arguments.rounds, arguments.seconds)
    record(RESULTS, "swaps", results, table(results))
    print(table(results))


if __name__ == "__main__":
    main()
