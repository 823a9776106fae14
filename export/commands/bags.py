"""What `--multi` says of columns that have several values a row."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError

from thimble.export.clicks.bag_use import BagUse
from thimble.export.clicks.rows import ClickError
from thimble.export.report.tables import BagFigures
from thimble.models.bags import MOST_VALUES, Bag, Pooling
from thimble.models.conversions import shown
from thimble.models.spec import ModelSpec

# A separator may be the colon, where that leaves parts that can be read.
_PARTS = re.compile(r"([^:]*|:)(?::([0-9]{0,9})(?::([a-z]*)(?::([a-z]*))?)?)?")
_FORM = "NAME:SEPARATOR:VALUES:POOLING:KEEP, of which all but NAME may be left out"
_WRONG = {
    "separator": "a separator is one character, and no letter, digit, tab, sign, quote or backslash",
    "values": f"a bag has 1 to {MOST_VALUES:,} values",
    "pooling": "values are pooled by sum, mean or max",
    "keep": "of a longer list the first or the last values are kept",
}


class AskedBag(NamedTuple):
    """A bag as far as it is known before any row is read.

    A mean does not grow with the list: short, long and cut ones are of one size.
    """

    separator: str = "|"
    values: int | None = None
    pooling: Pooling = "mean"
    keep: Literal["first", "last"] = "first"

    def bag(self, use: BagUse | None = None) -> Bag:
        """With room for what rows have, where nobody says for how much. ValidationError: what was said is wrong."""
        said = self._asdict()
        if self.values is None:
            said["values"] = use.suited() if use else 1
        return Bag.model_validate(said)


def bag_figures(spec: ModelSpec, use: Mapping[str, BagUse]) -> dict[str, BagFigures]:
    """What a page says of bags."""
    return {
        name: BagFigures(of.rows, of.mean, of.cut_share(field.bag.values))
        for field in spec.fields
        if field.bag and (of := use.get(name := field.name))
    }


def asked_bags(multi: Sequence[str], fields: Collection[str], dense: Collection[str]) -> dict[str, AskedBag]:
    """What each `--multi` says, by the field that it is said of. ClickError: it cannot be read."""
    asked: dict[str, AskedBag] = {}
    for text in multi:
        name = _name(text, fields, dense)
        if name in asked:
            raise ClickError(f"--multi is given twice for {name}")
        asked[name] = _asked(text, text[len(name) + 1 :])
    return asked


def _name(text: str, fields: Collection[str], dense: Collection[str]) -> str:
    """The longest name that it begins with, for a name may have colons."""
    if names := [name for name in fields if f"{text}:".startswith(f"{name}:")]:
        return max(names, key=len)
    name = text.partition(":")[0]
    if name in dense:
        raise ClickError(f"--multi {text}: {name} is a column of numbers, of which a row has one")
    raise ClickError(f"--multi {text}: {shown(name)} is not among the columns of --int, --hex and --string")


def _asked(text: str, parts: str) -> AskedBag:
    found = _PARTS.fullmatch(parts)
    if not found:
        raise ClickError(f"--multi takes {_FORM}, not {shown(text)}")
    said: dict[str, Any] = {name: part for name, part in zip(AskedBag._fields, found.groups(), strict=True) if part}
    if "values" in said:
        said["values"] = int(said["values"])
    asked = AskedBag(**said)
    try:
        asked.bag()
    except ValidationError as error:
        raise ClickError(f"--multi {text}: {_WRONG[str(error.errors()[0]['loc'][0])]}") from None
    return asked
