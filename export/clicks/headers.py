"""The first line of a file of named columns: what separates its names, and what is wrong where one is not found."""

from collections.abc import Collection, Sequence
from difflib import get_close_matches

from thimble.export.clicks.rows import ClickError
from thimble.export.wording import listed
from thimble.models.conversions import shown

_DELIMITERS = ",\t;|"
_SHOWN = 20


def delimiter(line: str, names: Collection[str], *, certain: bool) -> str | None:
    """What separates the names in a header line. None: it is no header line, for it has not half of the names.

    `certain` where it is one whatever is in it.
    """

    def found(separator: str) -> int:
        return len({value.strip(' "') for value in line.strip("\r\n").split(separator)}.intersection(names))

    best = max(_DELIMITERS, key=lambda separator: (found(separator), line.count(separator)))
    return best if certain or 2 * found(best) >= len(names) else None


def column_index(header: Sequence[str], name: str) -> int:
    """Where a named column is. ClickError: it is not there, or twice."""
    if header.count(name) > 1:
        raise ClickError(f"{header.count(name)} columns are called {name!r}")
    if name not in header:
        there = listed([*map(shown, header)], _SHOWN)
        raise ClickError(f"no column {name!r}; there are {there}{_guess(header, name)}")
    return header.index(name)


def _guess(header: Sequence[str], name: str) -> str:
    """What may be meant, or wrong with all of the header."""
    if any("\0" in column for column in header):
        return "; it looks like UTF-16: save it as UTF-8"
    if any(column.strip() == name for column in header):
        return "; blanks around a name belong to it: take them out, around the values too"
    if any("\udc80" <= letter <= "\udcff" for column in header for letter in column):
        return "; it is not UTF-8: save it as UTF-8"
    close = get_close_matches(name, header, 1)
    return f"; did you mean {shown(close[0])}?" if close else ""
