"""Bags as requests bring them: in which forms, and with how many values."""

from typing import Any

from thimble.models.conversions import Column, shown
from thimble.models.features import FeatureError
from thimble.models.inputs import Feature
from thimble.models.spec import ModelSpec
from thimble.service.errors import RequestError
from thimble.service.wire.scan import OTHERS

BAG = "bag"
"""The key of an object that is one bag for all rows: `{"bag": [...]}`."""
_WEIGHTS = frozenset(("weights", "weight"))
_WEIGHTED = "weighted bags are not supported"


class BagLimits:
    """How many values the bags of a request may have that asks for at most `max_rows` rows of a model.

    Lists are bounded before they are parsed (`scan`), but a text may hold as many values as it has bytes. So they are
    counted before a text is divided.
    """

    def __init__(self, spec: ModelSpec, max_rows: int) -> None:
        self._max_rows = max_rows
        self.features = [(place, feature) for place, feature in enumerate(spec.features) if feature.bag]
        """Those with bags, and their places among the spec's."""

    def check(self, feature: Feature, rows: Column) -> None:
        """RequestError 413: the bags of a feature, one a row, have more values than so many rows have."""
        assert feature.bag
        separator, most = feature.bag.separator, self._max_rows * feature.bag.values + OTHERS
        count = sum(
            row.count(separator) + 1 if isinstance(row, str) else len(row) if isinstance(row, list) else 1
            for row in rows
        )
        if count > most:
            raise RequestError(
                413,
                f"{feature.name}: {count} values are more than a request has with {self._max_rows} rows, which is the "
                "limit",
            )


def shared(feature: Feature, value: Any) -> Any:
    """The bag of all rows, from JSON's value of a feature that is no list. FeatureError: an object that is none."""
    if not isinstance(value, dict):
        return value
    bag = value.get(BAG)
    if not isinstance(bag, list) or len(value) > 1:
        raise FeatureError(feature.name, 0, _no_bag(value))
    return bag


def misplaced(feature: Feature, value: Any, row: int) -> str | None:
    """What is wrong with the form of JSON's value of a feature, as to this row; None where it has another fault."""
    if isinstance(value, list):
        return _of_row(feature, value[row])
    if not isinstance(value, dict):
        return None
    if feature.bag is None:
        return _of_row(feature, value)
    return _inside(value.get(BAG))


def _of_row(feature: Feature, value: Any) -> str | None:
    if isinstance(value, dict):
        if _WEIGHTS & value.keys():
            return _WEIGHTED
        if feature.bag:
            return 'an object in a list is no bag, which is a list there; {"bag": [...]} is one for all rows'
        return "it is a single-valued feature, which takes no bag" if BAG in value else None
    return _inside(value) if feature.bag else None


def _inside(bag: Any) -> str | None:
    """What is wrong with the form of the values of a bag."""
    if not isinstance(bag, list):
        return None
    nested = next((value for value in bag if isinstance(value, list | dict)), None)
    if nested is None:
        return None
    if isinstance(nested, dict) and _WEIGHTS & nested.keys():
        return _WEIGHTED
    return f"{shown(nested)} inside a bag, which is a list of values"


def _no_bag(value: dict[str, Any]) -> str:
    if _WEIGHTS & value.keys():
        return _WEIGHTED
    if others := value.keys() - {BAG}:
        return f'unknown key {shown(min(others))} in an object, which can be {{"bag": [...]}} alone'
    return f"bag is {shown(value[BAG])}, not a list of values" if BAG in value else "an empty object is no bag"
