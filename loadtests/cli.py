"""thimble-load: run load tests against a server, compare two deployments, report."""

import argparse
import os
import signal
import sys
from pathlib import Path

from pydantic import ValidationError

from thimble.loadtests import measure, options
from thimble.loadtests.compare.fulltable import PRESETS
from thimble.loadtests.measure import MeasureError
from thimble.loadtests.options import OptionError
from thimble.loadtests.results import summary
from thimble.loadtests.results.comparison import NAMES, Comparison, ComparisonJournal, Settings
from thimble.loadtests.results.files import claim
from thimble.loadtests.results.gates import CUT_SHORT, FAILED, USAGE
from thimble.loadtests.traffic.served import LoadError

COMPARE = """Measure two deployments side by side, in rounds, with the same requests to both, and write a report.
Each is the URL of a running server, or a model repository or file, for which servers are started. Without any, an
untrained model with full tables is compared with its form that is 10,000 times smaller."""


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
    run.add_argument(
        "--connections", type=_count, default=measure.CONNECTIONS, help="most requests at once [%(default)s]"
    )
    run.add_argument("--processes", type=_count, default=1, help="processes that generate the load [%(default)s]")
    options.add(run)
    run.set_defaults(command=_run)
    _add_compare(commands.add_parser("compare", help="measure two deployments side by side", description=COMPARE))
    report = commands.add_parser("report", help="write the report of a comparison again")
    report.add_argument("results", type=Path, help="the JSON file of a comparison")
    report.set_defaults(command=_report)
    known, others = parser.parse_known_args()
    if others and known.command is not _run:
        parser.error(f"unrecognized arguments: {' '.join(others)}")
    try:
        sys.exit(known.command(known, others))
    except (LoadError, MeasureError) as error:
        print(f"thimble-load: {str(error).removeprefix('thimble-load: ')}", file=sys.stderr)
        sys.exit(USAGE if isinstance(error, OptionError) else FAILED)


def _run(known: argparse.Namespace, others: list[str]) -> int:
    traffic, plan = options.traffic(known), options.plan(known)
    processes = measure.in_processes(known.processes)
    if plan.ceiling is None:
        print("measuring for some seconds what the generator itself can send", file=sys.stderr, flush=True)
        known.ceiling = measure.ceiling(known.url, traffic, connections=known.connections, locust=processes)
    connections = ["--users", str(known.connections)]
    process = measure.start(
        ["--host", known.url, *options.arguments(known), *connections, *processes, *others], plan.results
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: process.terminate())
    status = process.wait()
    run = measure.outcome(status, plan.results)
    if status < 0 and run:
        print(summary.text(run, plan.results))
    return status if status >= 0 else CUT_SHORT


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return int(text)


def _add_compare(parser: argparse.ArgumentParser) -> None:
    default = Settings()
    parser.add_argument("sources", nargs="*", metavar="A B", help="URLs, repositories or files; two or none")
    parser.add_argument(
        "--tables",
        choices=PRESETS,
        default=PRESETS[0],
        help="without A and B: whose full tables [%(default)s]",
    )
    parser.add_argument("--table-rows", type=int, help="without A and B: of the full tables in all [as --tables has]")
    for name, meaning in {
        "rounds": "how often everything is measured, each going first in turn",
        "seconds": "how long each rate is offered",
        "max_p99_ms": "the knee is the highest rate whose p99 is below",
        "memory_gb": "say how many replicas fit into so much memory",
        "price": "of a core for an hour, to say what a million rows cost",
        "connections": "most requests at once",
    }.items():
        value = getattr(default, name)
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, type=type(value), default=value, help=f"{meaning} [%(default)s]")
    options.add_traffic(parser, scenario="batch", encoding="binary", bags="full")
    parser.add_argument(
        "--results",
        type=Path,
        default=Path("runs/compare/report.json"),
        help="JSON file, written anew after every step; the report appears beside it [%(default)s]",
    )
    parser.set_defaults(command=_compare)


def _compare(known: argparse.Namespace, _: list[str]) -> int:
    from thimble.loadtests.compare.compare import compare

    if len(known.sources) not in (0, len(NAMES)):
        raise LoadError("give two deployments to compare, or none for full tables against a compressed model")
    given = {name: getattr(known, name, None) for name in Settings.model_fields}
    given |= {"traffic": options.traffic(known)} | ({"tables": None, "table_rows": None} if known.sources else {})
    try:
        settings = Settings.model_validate(given)
    except ValidationError as error:
        problem = error.errors()[0]
        raise OptionError(f"--{str(problem['loc'][0]).replace('_', '-')}: {problem['msg'].lower()}") from None
    claim(known.results, Comparison.read)
    comparison = Comparison(settings=settings, busy=os.getloadavg()[0], command=["thimble-load", *sys.argv[1:]])
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    compare(ComparisonJournal(comparison, known.results, lambda doing: print(doing, flush=True)), known.sources)
    return _render(comparison, known.results)


def _report(known: argparse.Namespace, _: list[str]) -> int:
    try:
        found = Comparison.read(known.results)
    except OSError as error:
        raise LoadError(f"{known.results}: {error.strerror}") from None
    except ValidationError:
        raise LoadError(f"{known.results} does not hold the results of a comparison") from None
    return _render(found, known.results)


def _render(found: Comparison, results: Path) -> int:
    """Matplotlib takes a while to import, so only here."""
    from thimble.loadtests.report import render, words

    paths = render.render(found, results)
    if lines := words.headlines(found):
        ids = words.ids(found)
        print(f"how many times better B is than A{f', with {ids}' if ids else ''}:")
    for line in lines:
        print(f"{line.ratio:>8}  {line.title} ({line.values})  {line.verdict}".rstrip())
    print(f"PARTIAL: {found.reason}" if found.reason else "complete")
    print(f"report: {paths.html}, {paths.markdown.name} and {results.name} beside it")
    return CUT_SHORT if found.reason else 0
