"""How messages put things."""

from collections.abc import Sequence


def listed(names: Sequence[str], most: int = 5) -> str:
    """Names in a line that is never long."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
