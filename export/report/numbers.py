"""Numbers for people. What is not known is left blank."""

from thimble.export.metrics.intervals import Bounds


def count(value: float) -> str:
    """Thousands apart."""
    return f"{value:,.0f}"


def short(value: float) -> str:
    """For an axis: 1.5M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def figure(value: float | None) -> str:
    """Four decimals at most, or three digits of what is smaller."""
    if value is None:
        return ""
    return f"{value:.3g}" if 0 < abs(value) < 0.001 else f"{value:.4f}"


def span(bounds: Bounds | None) -> str:
    """An interval."""
    return f"{figure(bounds[0])} to {figure(bounds[1])}" if bounds else ""


def duration(seconds: float) -> str:
    """1 h 02 min, 3 min 20 s or 4.2 s."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
