"""How messages put things."""

from collections.abc import Sequence

_UNITS = ["B", "kB", "MB", "GB", "TB"]


def listed(names: Sequence[str], most: int = 5) -> str:
    """Names in a line that is never long."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def counted(count: int, noun: str) -> str:
    """1 row, or 2,000 rows."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def size(count: float) -> str:
    """Bytes for people, in powers of 1000: 96.1 GB."""
    for unit in _UNITS:
        if count < 1000 or unit == _UNITS[-1]:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


def times(factor: float) -> str:
    """6,676 times, or 3.7 times."""
    return f"{factor:,.0f} times" if factor >= 10 else f"{factor:.2g} times"
