"""What is read otherwise than it stands in a file, because somebody asks for it."""

import re
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from thimble.models.inputs import ValueKind

_DATE = re.compile(r"\d{4}-\d\d-\d\d")  # other digits may be a number


class ValueOptions(NamedTuple):
    """How the values of features are read, labels not included.

    `missing` are further words for a missing value, in lower case, in fields of text too. `timestamps` makes numbers of
    timestamps and dates: seconds since 1970, UTC where they name no zone.
    """

    missing: frozenset[str] = frozenset()
    timestamps: bool = False

    def text(self, kind: ValueKind, tokens: Sequence[str]) -> Sequence[str]:
        """Text of a file as text that the kind is read from."""
        if self.missing:
            tokens = ["" if token.strip().lower() in self.missing else token for token in tokens]
        if self.timestamps and kind == "number":
            tokens = [_seconds(token) for token in tokens]
        return tokens


def value_options(missing: Collection[str], timestamps: bool) -> ValueOptions:
    """From words as people write them."""
    return ValueOptions(frozenset(word.strip().lower() for word in missing), timestamps)


def _seconds(token: str) -> str:
    """Text in the form of ISO 8601 as seconds, any other as it is."""
    if not _DATE.match(token.strip()):
        return token
    try:
        moment = datetime.fromisoformat(token.strip())
    except ValueError:
        return token
    return repr((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
