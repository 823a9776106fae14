"""A row to show what a model takes and gives. It is made of the spec alone, so it is nobody's."""

from typing import NamedTuple

from thimble.models.features import batch_from_values
from thimble.models.heads import columns_of
from thimble.models.inputs import Feature, ValueKind
from thimble.models.spec import ModelSpec
from thimble.service.engine.engine import Engine

# Of a bag.
VALUES = 2
# Odd, so that each place has another token.
_SCATTER = 0x9E3779B1


class Example(NamedTuple):
    """A row, a value a feature, and the scores that the engine gives it, by output; None where they are none.

    A bag is a text, so that the same row is JSON and a line. `answer` has the scores as an answer of this row has them.
    """

    row: dict[str, int | str]
    scores: dict[str, float] | None

    @property
    def answer(self) -> list[float] | dict[str, list[float]] | None:
        if self.scores is None or len(self.scores) == 1:
            return None if self.scores is None else [*self.scores.values()]
        return {name: [score] for name, score in self.scores.items()}


def example_of(engine: Engine) -> Example:
    """The example of the engine's model. It never raises: a model that fails on it may well score other rows."""
    row = example_row(engine.spec)
    try:
        found = columns_of(engine.score(batch_from_values(engine.spec, [[value] for value in row.values()])))
    except Exception:  # ORT has no public base class for its errors
        return Example(row, None)
    scores = dict(zip(engine.spec.outputs, (round(float(column[0]), 6) for column in found), strict=True))
    return Example(row, scores if all(0 <= score <= 1 for score in scores.values()) else None)


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
