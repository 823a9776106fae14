"""A row to show what a model takes and gives. It is made of the spec alone, so it is nobody's."""

from typing import NamedTuple

from thimble.models.features import batch_from_values
from thimble.models.inputs import Feature, ValueKind
from thimble.models.spec import ModelSpec
from thimble.service.engine.engine import Engine

# Of a bag.
VALUES = 2
# Odd, so that each place has another token.
_SCATTER = 0x9E3779B1


class Example(NamedTuple):
    """A row, a value a feature, and the score that the engine gives it; None where that is no probability.

    A bag is a text, so that the same row is JSON and a line.
    """

    row: dict[str, int | str]
    score: float | None


def example_of(engine: Engine) -> Example:
    """The example of the engine's model. It never raises: a model that fails on it may well score other rows."""
    row = example_row(engine.spec)
    try:
        score = float(engine.score(batch_from_values(engine.spec, [[value] for value in row.values()]))[0])
    except Exception:  # ORT has no public base class for its errors
        return Example(row, None)
    return Example(row, round(score, 6) if 0 <= score <= 1 else None)


def example_row(spec: ModelSpec) -> dict[str, int | str]:
    """A value for every feature, always the same ones, in the order of the spec."""
    return {feature.name: _feature(feature, place) for place, feature in enumerate(spec.features, 1)}


def _feature(feature: Feature, place: int) -> int | str:
    if feature.bag is None:
        return _value(feature.kind, place)
    values = (str(_value(feature.kind, place + nth)) for nth in range(min(feature.bag.values, VALUES)))
    return feature.bag.separator.join(value.replace(" ", "-") for value in values)  # a blank may be the separator


def _value(kind: ValueKind, place: int) -> int | str:
    match kind:
        case "number" | "int":
            return place
        case "hex":
            return f"{place * _SCATTER % (1 << 32):08x}"
        case "string":
            return f"example {place}"
