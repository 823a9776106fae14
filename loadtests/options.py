"""The options of a load test, the same for Locust and for thimble-load."""

import argparse
from typing import Any, get_args

from pydantic import ValidationError

from loadtests.pacing import Pacing
from loadtests.served import LoadError
from loadtests.shapes import Name
from loadtests.traffic import Encoding, Scenario, Traffic

RESULTS = "load.json"


def add(parser: Any) -> None:
    """To Locust's parser, or one of argparse. Paths stay text, as Locust sends options to its workers."""
    add_traffic(parser)
    parser.add_argument(
        "--shape",
        choices=list(get_args(Name)),
        default="constant",
        help="how the rate goes: constant, step (one rate after the other), spike (base, peak, base), diurnal (a day "
        "from trough to peak in 24 steps), knee (doubles until p99 breaks --max-p99-ms, then closes in)",
    )
    parser.add_argument(
        "--rate",
        default="50",
        help="requests/s to offer; several, separated by commas, for step (each), spike (base,peak) and diurnal "
        "(trough,peak); where to begin for knee",
    )
    parser.add_argument("--seconds", type=float, default=10, help="how long each step takes")
    parser.add_argument(
        "--pacing", choices=list(get_args(Pacing)), default="poisson", help="how requests are spread over a second"
    )
    parser.add_argument(
        "--timeout-s", type=float, default=10, help="how long to wait for an answer, and for a backlog after its step"
    )
    parser.add_argument("--max-p99-ms", type=float, help="exit status 1 if a step's p99 is above; the knee's limit")
    parser.add_argument(
        "--max-error-share",
        type=float,
        default=0.0,
        help="exit status 1 if a larger share of a step's requests gets no right answer, refusals among them",
    )
    parser.add_argument("--ceiling", type=float, help="what the generator can do here, requests/s, if it is known")
    parser.add_argument("--results", default=RESULTS, help="JSON file, written anew every second")


def add_traffic(parser: Any) -> None:
    parser.add_argument(
        "--scenario",
        choices=list(get_args(Scenario)),
        default="single",
        help="what a request holds: a single row, a batch of --rows, or one user's context with 100 to 700 candidates",
    )
    parser.add_argument("--encoding", choices=list(get_args(Encoding)), default="json", help="how it is written")
    parser.add_argument("--rows", type=int, default=64, help="rows of a batch")
    parser.add_argument("--clicks", help="draw rows from this file of Criteo lines instead of inventing them")
    parser.add_argument("--model", help="name of the model, where several are served")
    parser.add_argument("--seed", type=int, default=0, help="the same seed, the same requests at the same times")


def traffic(options: argparse.Namespace) -> Traffic:
    """LoadError: a value out of range."""
    given = {name: getattr(options, name) for name in Traffic.model_fields}
    try:
        return Traffic(**{name: value for name, value in given.items() if value not in (None, "")})
    except ValidationError as error:
        problem = error.errors()[0]
        raise LoadError(f"--{problem['loc'][0]}: {problem['msg'].lower()}") from None


def rates(text: str) -> list[float]:
    """LoadError: not numbers."""
    try:
        return [float(rate) for rate in text.split(",")]
    except ValueError:
        raise LoadError(f"--rate {text}: not numbers separated by commas") from None


def traffic_arguments(traffic: Traffic) -> list[str]:
    """The options that give this traffic."""
    given = traffic.model_dump(exclude_none=True)
    return [argument for name, value in given.items() for argument in (f"--{name}", str(value))]
