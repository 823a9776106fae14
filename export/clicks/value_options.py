"""What is read otherwise than it stands in a file, because somebody asks for it."""

import re
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

from thimble.models.conversions import exact_number
from thimble.models.inputs import ValueKind

_DATE = re.compile(r"\d{4}-\d\d-\d\d")  # other digits may be a number


class ValueOptions(NamedTuple):
    """How the values of features are read, labels not included.

    `missing` are further words for a missing value, in lower case, in fields of text too. Of numbers and integers one
    that is a number stands for its value, however that is written. `timestamps` makes numbers of timestamps and dates:
    seconds since 1970, UTC where they name no zone.
    """

    missing: frozenset[str] = frozenset()
    timestamps: bool = False

    def text(self, kind: ValueKind, tokens: Sequence[str]) -> Sequence[str]:
        """Text of a file as text that the kind is read from."""
        if self.missing:
            absent = self.absent(kind, tokens)
            tokens = ["" if gone else token for token, gone in zip(tokens, absent, strict=True)]
        if self.timestamps and kind == "number":
            tokens = [as_seconds(token) for token in tokens]
        return tokens

    def absent(self, kind: ValueKind, tokens: Sequence[str | None]) -> list[bool]:
        """Which values, written as text, one of the words stands for."""
        words = {self._meaning(kind, word) for word in self.missing}
        found = {token for token in {*tokens} if token is not None and self._meaning(kind, token) in words}
        return [token in found for token in tokens]

    def _meaning(self, kind: ValueKind, token: str) -> datetime | Decimal | str:
        """What words and values are compared by: the moment or the number that they are, or else their letters."""
        text = token.strip().lower()
        moment = as_moment(text) if self.timestamps and kind == "number" else None
        number = exact_number(text) if kind in ("number", "int") else None
        return next((it for it in (moment, number) if it is not None), text)


def value_options(missing: Collection[str], timestamps: bool) -> ValueOptions:
    """From words as people write them."""
    return ValueOptions(frozenset(word.strip().lower() for word in missing), timestamps)


def as_seconds(token: str) -> str:
    """Text in the form of ISO 8601 as seconds, any other as it is."""
    moment = as_moment(token)
    return token if moment is None else repr(moment.timestamp())


def as_moment(token: str) -> datetime | None:
    """What text in the form of ISO 8601 says, None of any other."""
    token = token.strip().upper()
    if not _DATE.match(token):
        return None
    try:
        moment = datetime.fromisoformat(token)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
