"""The options of a load test, the same for Locust and for thimble-load."""

import argparse
from typing import Any, get_args

from pydantic import ValidationError

from thimble.loadtests.generate.pacing import Pacing
from thimble.loadtests.generate.shapes import Name
from thimble.loadtests.traffic.requests import Encoding, Scenario, Traffic
from thimble.loadtests.traffic.served import LoadError

PARENT = "THIMBLE_LOAD_PARENT"
"""Environment variable with the id of the process without which a load test is to end."""


def add(parser: Any) -> None:
    """To Locust's parser, or one of argparse. Paths stay text, as Locust sends options to its workers."""
    add_traffic(parser)
    _choice(
        parser,
        "--shape",
        Name,
        "how the rate goes: constant, step (one rate after the other), spike (base, peak, base), diurnal (a day from "
        "trough to peak in 24 steps), knee (doubles until p99 breaks --max-p99-ms, then closes in)",
    )
    _value(
        parser,
        "--rate",
        "50",
        "requests/s to offer; several, separated by commas, for step (each), spike (base,peak) and diurnal "
        "(trough,peak); where to begin for knee",
    )
    _value(parser, "--seconds", 10.0, "how long each step takes")
    _choice(parser, "--pacing", Pacing, "how requests are spread over time")
    _value(parser, "--timeout-s", 10.0, "how long to wait for an answer, and for a backlog after its step")
    parser.add_argument("--max-p99-ms", type=float, help="exit status 1 if a step's p99 is above; the knee's limit")
    _value(
        parser,
        "--max-error-share",
        0.0,
        "exit status 1 if a larger share of a step's requests gets no right answer, refusals among them",
    )
    parser.add_argument("--ceiling", type=float, help="what the generator can do here, requests/s, if it is known")
    _value(parser, "--results", "load.json", "JSON file, written anew every second")


def add_traffic(parser: Any) -> None:
    """Those that say what is sent."""
    _choice(
        parser,
        "--scenario",
        Scenario,
        "what a request holds: a single row, a batch of --rows, or one user's context with 100 to 700 candidates",
    )
    _choice(parser, "--encoding", Encoding, "how it is written")
    _value(parser, "--rows", 64, "rows of a batch")
    parser.add_argument("--clicks", help="draw rows from this file of Criteo lines instead of inventing them")
    parser.add_argument("--model", help="name of the model, where several are served")
    _value(parser, "--seed", 0, "the same seed, the same requests at the same times")


def _choice(parser: Any, name: str, choices: Any, meaning: str) -> None:
    """The first is the default."""
    names = list(get_args(choices))
    parser.add_argument(name, choices=names, default=names[0], help=f"{meaning} [%(default)s]")


def _value(parser: Any, name: str, default: str | int | float, meaning: str) -> None:
    parser.add_argument(name, type=type(default), default=default, help=f"{meaning} [%(default)s]")


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


def arguments(options: argparse.Namespace) -> list[str]:
    """The options in writing."""
    parser = argparse.ArgumentParser()
    add(parser)
    names = [action.dest for action in parser._actions if action.dest != "help"]
    return _written({name: getattr(options, name) for name in names})


def traffic_arguments(traffic: Traffic) -> list[str]:
    """The options that give this traffic."""
    return _written(traffic.model_dump())


def _written(given: dict[str, Any]) -> list[str]:
    kept = {name: value for name, value in given.items() if value is not None}
    return [text for name, value in kept.items() for text in (f"--{name.replace('_', '-')}", str(value))]
