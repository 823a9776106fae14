"""Workers that are killed and servers that are told to stop, under load: who notices.

    python -m benchmarks.operations.endings

Four workers and single rows as JSON over 16 connections, as fast as they are answered. In each round of the first part
one worker is killed (SIGKILL): the requests that it had may fail, at most one on each of its connections, and no other.
In each round of the second part the server gets SIGTERM: it drains for three seconds and stops, and no request that it
took may fail. A connection that is refused once it has stopped is no request. All on two cores.
"""

import argparse
import os
import signal
import statistics
import threading
import time
from typing import Any

import psutil

from benchmarks.operations.deployment import RESULTS, deployed
from benchmarks.record import measured_on, record
from testing.load import BROKEN, closed_loop
from testing.messages import single_rows

WORKERS, CONNECTIONS, DRAIN_SECONDS = 4, 16, 3


def kills(rounds: int) -> list[dict[str, Any]]:
    """A worker dies in each round."""
    requests = single_rows()
    found = []
    with deployed("--workers", str(WORKERS)) as server:
        for _ in range(rounds):
            killed: dict[str, Any] = {}

            def kill(killed: dict[str, Any] = killed) -> None:
                victim = server.workers()[0]
                killed["connections"] = sum(
                    it.status == psutil.CONN_ESTABLISHED and it.laddr.port == server.address[1]
                    for it in victim.net_connections("tcp4")
                )
                os.kill(victim.pid, signal.SIGKILL)
                start = time.perf_counter()
                while victim in server.workers() or len(server.workers()) < WORKERS:
                    time.sleep(0.01)
                killed["replaced_after_s"] = time.perf_counter() - start

            timer = threading.Timer(2, kill)
            timer.start()
            run = closed_loop(server.address, requests, CONNECTIONS, 5)
            timer.join()
            found.append({**killed, "failed": run.failures, **run.summary()})
    return found


def stops(rounds: int) -> list[dict[str, Any]]:
    """A server is told to stop in each round."""
    requests = single_rows()
    found = []
    for number in range(rounds):
        workers = ("--workers", str(WORKERS)) if number % 2 else ()
        with deployed("--drain-s", str(DRAIN_SECONDS), *workers) as server:
            process = server.server.process
            timer = threading.Timer(2, lambda process=process: process.send_signal(signal.SIGTERM))
            timer.start()
            run = closed_loop(server.address, requests, CONNECTIONS, 2 + DRAIN_SECONDS + 2)
            timer.join()
            status = process.wait(30)
            taken = run.rows > 0  # the others are connections that were refused
            failed = int(((run.status != 200) & taken).sum()) + run.unanswered + run.wrong
            found.append(
                {
                    "workers": WORKERS if workers else 1,
                    "exit_status": status,
                    "answered": int((run.status == 200).sum()),
                    "answered_while_draining": int(((run.status == 200) & (run.started > 1.5)).sum()),
                    "failed": failed,
                    "refused_connections": int(((run.status == BROKEN) & ~taken).sum()),
                }
            )
    return found


def table(results: dict[str, Any]) -> str:
    """Markdown."""
    killed, stopped = results["kills"], results["stops"]
    replaced = statistics.median(it["replaced_after_s"] for it in killed)
    lines = [
        f"{results['processor']['name']}; single rows over {CONNECTIONS} connections; commit {results['commit']}.",
        "",
        f"One of {WORKERS} workers killed, {len(killed)} times:",
        "",
        "| requests answered | connections of the killed worker | requests failed |",
        "| ---: | ---: | ---: |",
        *(f"| {it['counts']['200']:,} | {it['connections']} | {it['failed']} |" for it in killed),
        "",
        f"A new worker was there after {replaced:.2f} s (median).",
        "",
        f"SIGTERM, {DRAIN_SECONDS} s of draining, {len(stopped)} times:",
        "",
        "| workers | requests answered | of these after SIGTERM | requests failed | exit status |",
        "| ---: | ---: | ---: | ---: | ---: |",
        *(
            f"| {it['workers']} | {it['answered']:,} | {it['answered_while_draining']:,} | {it['failed']} | "
            f"{it['exit_status']} |"
            for it in stopped
        ),
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Workers that are killed and servers that are told to stop.")
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    results = measured_on() | {"kills": kills(arguments.rounds), "stops": stops(arguments.rounds)}
    record(RESULTS, "endings", results, table(results))
    print(table(results))


if __name__ == "__main__":
    main()
