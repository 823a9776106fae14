"""This server beside another checkout of it, on the same core in turns: has a change cost anything?

    python -m benchmarks.serving.versions ../before/.venv/bin/thimble-serve ../before/artifacts/demo/1/model.onnx

Both are started anew for every start, since where a process happens to lie in memory is worth a hundredth, and in every
round each is asked once, first one and then the other first. The ratio of each round is taken, and the median counts.
In the last kind three times as much is asked as was answered before it, and what is answered counts.
"""

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, chdir, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.record import measured_on, record
from benchmarks.serving.efficiency import BATCH, CONNECTIONS, FLAGS, RESULTS, SERVE, singles
from testing.load import Address, Request, closed_loop, open_loop
from testing.messages import MODEL, infer_binary, random_rows, score_json
from testing.processes import pin_client, running

PORTS = {"before": 18601, "after": 18602}
KINDS: dict[str, tuple[list[Request], int]] = {
    "single rows, JSON": (singles(score_json), CONNECTIONS),
    "64 rows, JSON": ([score_json(random_rows(64, seed)) for seed in range(16)], CONNECTIONS),
    "256 rows, binary": ([infer_binary(random_rows(BATCH, seed)) for seed in range(16)], 2),
}
OVERLOAD, TIMES, MAX_CONNECTIONS = "256 rows, binary, three times too many", 3, 256


@contextmanager
def started(servers: dict[str, tuple[Path, Path]]) -> Iterator[dict[str, Address]]:
    """Servers by name, each started from a folder where no checkout lies."""
    with tempfile.TemporaryDirectory() as folder, chdir(folder), ExitStack() as stack:
        yield {
            name: stack.enter_context(running([serve, model, *FLAGS, str(PORTS[name])], PORTS[name], "/readyz")).address
            for name, (serve, model) in servers.items()
        }


def measure(servers: dict[str, tuple[Path, Path]], starts: int, rounds: int, seconds: float) -> list[dict[str, Any]]:
    """Rows a second by server and kind of request, round after round."""
    found: list[dict[str, Any]] = []
    for _ in range(starts):
        with started(servers) as addresses:
            for number in range(rounds):
                for kind, (requests, connections) in KINDS.items():
                    order = [*addresses] if number % 2 else [*addresses][::-1]
                    runs = {name: closed_loop(addresses[name], requests, connections, seconds) for name in order}
                    if any(run.failures for run in runs.values()):
                        raise RuntimeError(f"{kind}: answers were wrong or missing")
                    found.append({"kind": kind, **{name: run.rows_per_second for name, run in runs.items()}})
                    print(found[-1], file=sys.stderr)
                # what was asked last is asked again, of both at the pace of the faster
                rate = TIMES * max(run.requests_per_second for run in runs.values())
                runs = {
                    name: open_loop(addresses[name], requests, rate, seconds, MAX_CONNECTIONS, "even") for name in order
                }
                if any(run.wrong or {*run.counts} - {200, 429} for run in runs.values()):
                    raise RuntimeError(f"{OVERLOAD}: answers were wrong or missing")
                found.append({"kind": OVERLOAD, **{name: run.rows_per_second for name, run in runs.items()}})
                print(found[-1], file=sys.stderr)
    return found


def table(results: dict[str, Any]) -> str:
    """Markdown."""
    lines = [
        f"{results['processor']['name']}, one core for the server, one for the client; {results['starts']} starts of "
        f"{results['rounds_a_start']} rounds of {results['seconds']:g} s. After: {results['commit']}.",
        "",
        "| | before, rows/s | after, rows/s | median of the rounds' ratios | lowest | highest |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for kind in (*KINDS, OVERLOAD):
        rounds = [row for row in results["rounds"] if row["kind"] == kind]
        before, after = (statistics.median(row[name] for row in rounds) for name in PORTS)
        ratios = sorted(row["after"] / row["before"] for row in rounds)
        middle = statistics.median(ratios)
        lines.append(f"| {kind} | {before:,.0f} | {after:,.0f} | {middle:.3f} | {ratios[0]:.3f} | {ratios[-1]:.3f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("serve", type=Path, help="thimble-serve of the other checkout")
    parser.add_argument("model", type=Path, help="its demo model")
    parser.add_argument("--starts", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=4, help="of each start")
    parser.add_argument("--seconds", type=float, default=2)
    given = parser.parse_args()
    os.environ.pop("PYTHONPATH", None)  # or the other would import this one
    pin_client()
    servers = {"before": (given.serve.absolute(), given.model.absolute()), "after": (SERVE, MODEL)}
    rounds = measure(servers, given.starts, given.rounds, given.seconds)
    results = {
        **measured_on(),
        "starts": given.starts,
        "rounds_a_start": given.rounds,
        "seconds": given.seconds,
        "rounds": rounds,
    }
    record(RESULTS, "before-and-after", results, table(results))
    print(table(results))


if __name__ == "__main__":
    main()
