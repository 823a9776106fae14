"""Numbers for people."""

UNITS = ("B", "kB", "MB", "GB", "TB")


def number(value: float) -> str:
    """Three digits that count, thousands apart."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def size(count: float) -> str:
    """Bytes in powers of 1000."""
    for unit in UNITS[:-1]:
        if abs(count) < 1000:
            return f"{number(count)} {unit}"
        count /= 1000
    return f"{number(count)} {UNITS[-1]}"


def seconds(value: float) -> str:
    return f"{number(value * 1e3)} ms" if value < 1 else f"{number(value)} s"


def ms(value: float) -> str:
    return f"{number(value)} ms"


def times(ratio: float) -> str:
    return f"{number(ratio)}x"
