"""thimble-load: run load tests against a server."""

import argparse
import signal
import sys
from pathlib import Path

from loadtests import measure, options, summary
from loadtests.gates import CUT_SHORT, FAILED
from loadtests.measure import MeasureError
from loadtests.served import LoadError


def main() -> None:
    """The console script.

    Exit status 0 when every gate was kept, 1 when one was not or there was nothing to measure, 2 for bad flags, 3 when
    the run was cut short.
    """
    parser = argparse.ArgumentParser(prog="thimble-load", description="Measure servers under load.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="offer load to a server",
        description="Offer load to a server. Any other option of Locust's goes on to it, as --csv PREFIX.",
    )
    run.add_argument("url", help="of the server, as http://127.0.0.1:8000")
    run.add_argument("--connections", type=int, default=measure.CONNECTIONS, help="most requests at once [%(default)s]")
    run.add_argument("--processes", type=int, default=1, help="processes that generate the load [%(default)s]")
    options.add(run)
    run.set_defaults(command=_run)
    known, others = parser.parse_known_args()
    try:
        sys.exit(known.command(known, others))
    except (LoadError, MeasureError) as error:
        print(f"thimble-load: {str(error).removeprefix('thimble-load: ')}", file=sys.stderr)
        sys.exit(FAILED)


def _run(known: argparse.Namespace, others: list[str]) -> int:
    processes = ["--processes", str(known.processes)] if known.processes > 1 else []
    if known.ceiling is None:
        traffic = options.traffic(known)
        known.ceiling = measure.ceiling(known.url, traffic, connections=known.connections, locust=processes)
    connections = ["--users", str(known.connections)]
    results = Path(known.results)
    process = measure.start(
        ["--host", known.url, *options.arguments(known), *connections, *processes, *others], results
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: process.terminate())
    status = process.wait()
    run = measure.outcome(status, results)
    if status < 0 and run:
        print(summary.text(run, known.results))
    return status if status >= 0 else CUT_SHORT
