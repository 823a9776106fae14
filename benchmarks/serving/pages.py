"""What pages that are open cost the server: rows a second of one core with five of them, and without, in turns.

    python -m benchmarks.serving.pages

A page asks `/v1/activity` every five seconds, and nothing else as long as the same is served. Five do so here a second
apart, each over a connection of its own, while single rows come as JSON over 16 connections. In every round the server
is measured for as long with and without them, one first and then the other first; the ratio of each round is taken, and
the median counts. It is told of rows a second, and of rows per second of the processor, which other work on the machine
disturbs less. Last, pages ask as fast as they are answered, and the processor's time for an answer is taken.
"""

import argparse
import http.client
import statistics
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil

from benchmarks.record import measured_on, record
from benchmarks.serving.efficiency import CONNECTIONS, RESULTS, THIMBLE, singles
from testing.load import Address, Run, closed_loop
from testing.messages import score_json
from testing.processes import free_port, pin_client, running

PAGES, SECONDS_APART = 5, 1.0
ASKED = 1000
KINDS = ("without", "with")


def ask(page: http.client.HTTPConnection) -> None:
    page.request("GET", "/v1/activity")
    page.getresponse().read()


@contextmanager
def open_pages(address: Address) -> Iterator[None]:
    """Five of them ask, one after the other."""
    closed = threading.Event()
    pages = [http.client.HTTPConnection(*address) for _ in range(PAGES)]

    def in_turn() -> None:
        turn = 0
        while not closed.wait(SECONDS_APART):
            ask(pages[turn % PAGES])
            turn += 1

    thread = threading.Thread(target=in_turn)
    thread.start()
    try:
        yield
    finally:
        closed.set()
        thread.join()
        for page in pages:
            page.close()


def measure(rounds: int, seconds: float) -> tuple[list[dict[str, dict[str, float]]], float]:
    """Of each round, rows a second and rows per second of the processor; and its seconds for what a page asks.

    RuntimeError: answers are wrong or missing.
    """
    found, requests, port = [], singles(score_json), free_port()
    with running([*THIMBLE, str(port)], port, "/readyz") as server:
        process = psutil.Process(server.process.pid)

        def used() -> float:
            times = process.cpu_times()
            return times.user + times.system

        def run() -> dict[str, float]:
            before = used()
            run: Run = closed_loop(server.address, requests, CONNECTIONS, seconds, warmup=0)
            seconds_used = used() - before
            if run.wrong or {*run.counts} != {200}:
                raise RuntimeError("answers were wrong or missing")
            rows = sum(run.counts.values())
            return {"rows_a_second": run.rows_per_second, "rows_a_processor_second": rows / seconds_used}

        run()
        for number in range(rounds):
            row = {}
            for kind in KINDS if number % 2 else KINDS[::-1]:
                if kind == "with":
                    with open_pages(server.address):
                        row[kind] = run()
                else:
                    row[kind] = run()
            found.append(row)
        page = http.client.HTTPConnection(*server.address)
        before = used()
        for _ in range(ASKED):
            ask(page)
        page.close()
        return found, (used() - before) / ASKED


def table(results: dict[str, Any]) -> str:
    """Markdown."""
    lines = [
        f"{results['processor']['name']}, one core for the server; {len(results['rounds'])} rounds of twice "
        f"{results['seconds']:g} s. Commit {results['commit']}.",
        "",
        f"| single rows, JSON | no page | {PAGES} pages open | median of the rounds' ratios | lowest | highest |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, words in (("rows_a_second", "rows/s"), ("rows_a_processor_second", "rows per second of the processor")):
        without, pages = (statistics.median(row[kind][name] for row in results["rounds"]) for kind in KINDS)
        ratios = sorted(row["with"][name] / row["without"][name] for row in results["rounds"])
        middle = statistics.median(ratios)
        lines.append(f"| {words} | {without:,.0f} | {pages:,.0f} | {middle:.3f} | {ratios[0]:.3f} | {ratios[-1]:.3f} |")
    milliseconds = results["processor_seconds_an_answer"] * 1e3
    lines += [
        "",
        f"An answer takes {milliseconds:.2f} ms of the processor, so {PAGES} pages take {milliseconds / 10:.2f} %.",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=PAGES * SECONDS_APART)
    given = parser.parse_args()
    pin_client()
    rounds, answer = measure(given.rounds, given.seconds)
    results = {
        **measured_on(),
        "seconds": given.seconds,
        "rounds": rounds,
        "processor_seconds_an_answer": answer,
    }
    record(RESULTS, "pages", results, table(results))
    print(table(results))


if __name__ == "__main__":
    main()
