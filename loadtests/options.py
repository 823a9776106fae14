"""The options of a load test, the same for thimble-load, for Locust's command line and for its page.

Each is a field of `Traffic` or of `Plan`, which say what it is called, what it means and which values it takes. Until
they are read, values stay text: Locust's page sends all as text, an empty one where nothing was given, and Locust turns
a value into what the one before it was.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from thimble.loadtests.generate import shapes
from thimble.loadtests.generate.pacing import Pacing
from thimble.loadtests.results.gates import KNEE_P99_MS
from thimble.loadtests.traffic.requests import Traffic
from thimble.loadtests.traffic.served import LoadError

PARENT = "THIMBLE_LOAD_PARENT"
"""Environment variable with the id of the process without which a load test is to end."""
MOST_REQUESTS = 50_000_000
"""In a step: when each is due is known before it begins."""

Read = TypeVar("Read", bound=BaseModel)
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Seconds = Annotated[Positive, Field(le=86_400)]


def _separated(text: Any) -> Any:
    return text.split(",") if isinstance(text, str) else text


class Plan(BaseModel):
    """How the rate goes, what the run is held to, and where its results go."""

    model_config = ConfigDict(frozen=True)

    shape: Annotated[
        shapes.Name,
        Field(
            description="how the rate goes: constant, step (one rate after the other), spike (base, peak, base), "
            "diurnal (a day from trough to peak in 24 steps), knee (doubles until the 99th percentile breaks "
            "--max-p99-ms, then closes in on the highest rate that keeps it)"
        ),
    ] = "constant"
    rate: Annotated[
        tuple[Annotated[Positive, Field(le=1_000_000)], ...],
        BeforeValidator(_separated),
        Field(
            description="requests/s to offer; several, separated by commas, for step (each), spike (base,peak) and "
            "diurnal (trough,peak); where to begin for knee"
        ),
    ] = (50,)
    seconds: Annotated[Seconds, Field(description="how long each step takes")] = 10
    pacing: Annotated[Pacing, Field(description="how requests are spread over time")] = "poisson"
    timeout_s: Annotated[
        Seconds, Field(description="seconds to wait for an answer, and for a backlog after its step")
    ] = 10
    max_p99_ms: Annotated[
        Positive | None,
        Field(
            description="limit of the 99th percentile of latency, ms: exit status 1 if a step's is above; the knee's "
            f"limit, there {KNEE_P99_MS:g} without one"
        ),
    ] = None
    max_error_share: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            allow_inf_nan=False,
            description="exit status 1 if a larger share of a step's requests, 0 to 1, gets no right answer, refusals "
            "among them",
        ),
    ] = 0
    ceiling: Annotated[
        Positive | None, Field(description="what the generator can do here, requests/s, if it is known")
    ] = None
    results: Annotated[Path, Field(description="JSON file, written anew every second")] = Path("load.json")


def add(parser: Any) -> None:
    """All of them, to Locust's parser or one of argparse."""
    for model in (Traffic, Plan):
        _add(parser, model, {})


def add_traffic(parser: Any, **defaults: str) -> None:
    """Those that say what is sent, some with other defaults."""
    _add(parser, Traffic, defaults)


def _add(parser: Any, model: type[BaseModel], defaults: Mapping[str, str]) -> None:
    for name, field in model.model_fields.items():
        default = defaults.get(name, None if field.default is None else _text(field.default))
        choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else None
        shown = f"{field.description}" if default is None else f"{field.description} [{default}]"
        # not argparse's own %(default)s, which Locust's page would show as it is
        parser.add_argument(_flag(name), choices=choices, default=default, help=shown)


NAMES = [*Traffic.model_fields, *Plan.model_fields]
"""As attributes of the options."""


def traffic(options: argparse.Namespace) -> Traffic:
    """OptionError: a value that one of them does not take."""
    return _read(Traffic, options)


def plan(options: argparse.Namespace) -> Plan:
    """OptionError: a value that one of them does not take, or that does not fit another's."""
    found = _read(Plan, options)
    try:
        shapes.check(found.shape, found.rate)
    except LoadError as error:
        raise OptionError(f"--rate {_text(found.rate)}: {error}") from None
    if (requests := max(found.rate) * found.seconds) > MOST_REQUESTS:
        raise OptionError(
            f"--rate {max(found.rate):g} for --seconds {found.seconds:g} is {requests:,.0f} requests in a step, "
            f"of which there can be {MOST_REQUESTS:,}"
        )
    return found


class OptionError(LoadError):
    """An option that was given a value which it does not take."""


def _read(model: type[Read], options: argparse.Namespace) -> Read:
    values = {name: getattr(options, name) for name in model.model_fields}
    given = {name: value for name, value in values.items() if value is not None and str(value).strip()}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        problem = error.errors()[0]
        name = str(problem["loc"][0])
        raise OptionError(f"{_flag(name)} {given[name]}: {problem['msg'].lower()}") from None


def arguments(options: argparse.Namespace) -> list[str]:
    """The options in writing."""
    return _written({name: getattr(options, name) for name in NAMES})


def traffic_arguments(traffic: Traffic) -> list[str]:
    """The options that give this traffic."""
    return _written(dict(traffic))


def _written(given: dict[str, Any]) -> list[str]:
    kept = {name: value for name, value in given.items() if value is not None}
    return [text for name, value in kept.items() for text in (_flag(name), _text(value))]


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
