"""Small plots as SVG. Colours, widths and fonts are in the style sheet of the page, so that they fit light and dark."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from markupsafe import Markup

# In the SVG's own units; the page scales it to the width that there is.
WIDTH, HEIGHT = 400, 250
LEFT, RIGHT, TOP, BOTTOM = 52, 18, 28, 40
TICKS = 5
# Of the legend: a line's height, and about the width of a letter.
LEGEND_LINE, LETTER = 16, 6.2
# The height of a point's label.
LABEL_LINE = 9

Number = Callable[[float], str]


class Axis(NamedTuple):
    """From where to where it goes, and what is written at which places of it."""

    title: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]

    def share(self, value: float) -> float:
        """0 at its beginning, 1 at its end; what lies beyond is drawn there."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))


class Line(NamedTuple):
    """Points joined by a line, or standing alone where there are intervals. `look` is a class of the style sheet.

    `labels` are written beside the points, where there is room.
    """

    name: str
    look: str
    points: Sequence[tuple[float, float]]
    intervals: Sequence[tuple[float, float]] = ()
    dots: bool = True
    labels: Sequence[str] = ()


class Bars(NamedTuple):
    """Boxes from `low` to `high` in x, and from `base` to `top` in y."""

    name: str
    look: str
    boxes: Sequence[tuple[float, float, float, float]]


def axis(title: str, values: Sequence[float], form: Number, zero: bool = False) -> Axis:
    """One that holds all the values, begins and ends at round numbers, and with `zero` begins there."""
    low, high = (0.0 if zero else min(values)), max(values)
    if high <= low:
        low, high = (low, low + 1) if zero else (low - 0.01, low + 0.01)
    step = _round_step((high - low) / TICKS)
    first, last = int(np.floor(low / step + 1e-9)), int(np.ceil(high / step - 1e-9))
    ticks = [tick * step for tick in range(first, last + 1)]
    return Axis(title, ticks[0], ticks[-1], [(tick, form(tick)) for tick in ticks])


def plot(name: str, x: Axis, y: Axis, marks: Sequence[Line | Bars]) -> Markup:
    """A plot that is called by its name where it cannot be seen. Marks without a name are not in its legend."""
    legend, top = _legend(marks)
    drawn = [*_frame(x, y), *legend, *(_drawn(mark, x, y) for mark in marks), *_labels(marks, x, y)]
    return Markup('<svg viewBox="0 {} {} {}" role="img" aria-label="{}">{}</svg>').format(
        top, WIDTH, HEIGHT - top, name, Markup("").join(drawn)
    )


def _round_step(least: float) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that is not below it."""
    power = 10.0 ** np.floor(np.log10(least))
    return float(next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9)))


def _frame(x: Axis, y: Axis) -> Iterator[Markup]:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    for value, text in y.ticks:
        yield Markup('<path class="grid" d="M{} {:.1f}H{}"/>').format(LEFT, _y(y, value), right)
        yield Markup('<text x="{}" y="{:.1f}" class="end">{}</text>').format(LEFT - 6, _y(y, value) + 4, text)
    for value, text in x.ticks:
        yield Markup('<path class="grid" d="M{:.1f} {}V{}"/>').format(_x(x, value), TOP, bottom)
        yield Markup('<text x="{:.1f}" y="{}" class="middle">{}</text>').format(_x(x, value), bottom + 15, text)
    yield Markup('<text x="{}" y="{}" class="middle">{}</text>').format((LEFT + right) / 2, HEIGHT - 6, x.title)


def _legend(marks: Sequence[Line | Bars]) -> tuple[list[Markup], int]:
    """Its keys, in as many lines as they need, the last of them at 12, and where it begins: 0, or above the plot."""
    lines: list[list[tuple[float, Line | Bars]]] = [[]]
    place = float(LEFT)
    for mark in marks:
        width = 36 + LETTER * len(mark.name)
        if mark.name:
            if lines[-1] and place + width > WIDTH:
                lines.append([])
                place = LEFT
            lines[-1].append((place, mark))
            place += width
    top = -LEGEND_LINE * (len(lines) - 1)
    keys = []
    for number, line in enumerate(lines):
        up = top + LEGEND_LINE * number + 12
        for across, mark in line:
            look = f"{mark.look} bar" if isinstance(mark, Bars) else mark.look
            keys.append(Markup('<path class="{} key" d="M{:.0f} {}h16"/>').format(look, across, up))
            keys.append(Markup('<text x="{:.0f}" y="{}">{}</text>').format(across + 21, up + 4, mark.name))
    return keys, top


def _drawn(mark: Line | Bars, x: Axis, y: Axis) -> Markup:
    if isinstance(mark, Bars):
        boxes = (
            f"M{_x(x, low):.1f} {_y(y, base):.1f}V{_y(y, top):.1f}H{_x(x, high):.1f}V{_y(y, base):.1f}Z"
            for low, high, base, top in mark.boxes
        )
        return Markup('<path class="{} bar" d="{}"/>').format(mark.look, "".join(boxes))
    places = [(_x(x, across), _y(y, up)) for across, up in mark.points]
    if mark.intervals:
        path = "".join(
            f"M{across:.1f} {_y(y, low):.1f}V{_y(y, high):.1f}"
            for (across, _), (low, high) in zip(places, mark.intervals, strict=True)
        )
    else:
        path = "M" + "L".join(f"{across:.1f} {up:.1f}" for across, up in places) if len(places) > 1 else ""
    dot = Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="2.5"/>')
    dots = Markup("").join(dot.format(mark.look, *place) for place in places) if mark.dots else ""
    return Markup('<path class="{}" d="{}"/>{}').format(mark.look, path, dots)


def _labels(marks: Sequence[Line | Bars], x: Axis, y: Axis) -> Iterator[Markup]:
    """To the right of points, or to the left at the edge. One that would lie on another is left out."""
    written: list[tuple[float, float, float]] = []
    for mark in marks:
        labelled = zip(mark.points, mark.labels, strict=False) if isinstance(mark, Line) else ()
        for (across, up), text in labelled:
            place, height, width = _x(x, across), _y(y, up) + 3, LETTER * len(text)
            at_edge = place + 5 + width >= WIDTH
            left = place - 5 - width if at_edge else place + 5
            hides = (
                abs(height - at) < LABEL_LINE and left < end and begin < left + width for begin, end, at in written
            )
            if not text or any(hides):
                continue
            written.append((left, left + width, height))
            anchor, look = (place - 5, "end label") if at_edge else (left, "label")
            yield Markup('<text x="{:.1f}" y="{:.1f}" class="{}">{}</text>').format(anchor, height, look, text)


def _x(axis: Axis, value: float) -> float:
    return LEFT + axis.share(value) * (WIDTH - LEFT - RIGHT)


def _y(axis: Axis, value: float) -> float:
    return HEIGHT - BOTTOM - axis.share(value) * (HEIGHT - TOP - BOTTOM)
