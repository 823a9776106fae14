"""The plots of a trade-off."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from typing import NamedTuple

from thimble.export.report.charts import UNITS, Chart
from thimble.export.report.numbers import short
from thimble.export.report.svg import Axis, Bars, Line, axis, plot
from thimble.export.tradeoff.findings import Finding, Look, Mean, learning
from thimble.export.tradeoff.grid import Setting
from thimble.export.tradeoff.outcomes import Outcome
from thimble.export.tradeoff.table import name

COLOURS = "bacdef"
LOOKS = [*COLOURS, *(f"{colour} dashed" for colour in COLOURS)]
# More lines than these cannot be told apart.
MOST_LINES = 6
# An axis of powers of ten that spans less has ticks at 2 and 5 as well.
DECADES = 2

Figure = Callable[[Finding], Mean]


class _Across(NamedTuple):
    """An axis and where on it a model lies; `levels` says that full tables lie nowhere on it."""

    axis: Axis
    place: Callable[[Finding], float]
    levels: bool = False


def quality_charts(found: Sequence[Finding]) -> Iterator[Chart]:
    """AUC and normalised entropy on held-out rows against bytes, rows and time.

    Against bytes full tables are a line, for they have no memory to choose. Against rows and time nothing tells models
    of a curve apart but how many times smaller each is, which is written beside it where there is room. Where all have
    seen as many rows there is nothing to see against these.
    """
    compressed = [it for it in found if not it.setting.is_full]
    if not compressed:
        return
    figures: list[tuple[str, Figure]] = [
        ("AUC", lambda it: it.auc),
        ("Normalised entropy", lambda it: it.normalised_entropy),
    ]
    for across in _axes(found, compressed):
        for title, figure in figures:
            up = axis("", [end for it in found for end in figure(it).interval], short)
            marks: list[Line | Bars] = []
            for it in found:
                if it.setting.is_full and across.levels:
                    marks.append(_level(it, across.axis, figure))
                elif it.setting.is_full:
                    marks += _points("soft", [it], across, figure)
            for look, on_curve in zip(cycle(LOOKS), _curves(compressed), strict=False):
                marks += _points(look, on_curve, across, figure)
            what = f"{title} on held-out rows against {across.axis.title}"
            yield Chart(plot(what, across.axis, up, marks), f"{what}, with 95 % intervals.", None)


def learning_charts(outcomes: Sequence[Outcome], shown: Sequence[Setting], validation_rows: int) -> Iterator[Chart]:
    """Validation AUC of full tables and the models of a curve as training went, against rows and against time."""
    learnt = {
        setting: learning([it for it in outcomes if it.setting == setting], validation_rows)
        for setting in shown[:MOST_LINES]
    }
    learnt = {setting: looks for setting, looks in learnt.items() if looks}
    if not learnt:
        return
    unit, length = _unit(max(look.seconds for looks in learnt.values() for look in looks))
    curve = next((name(setting) for setting in learnt if not setting.is_full), "full tables")
    places: list[tuple[str, Callable[[Look], float]]] = [
        ("rows trained on", lambda look: look.rows),
        (f"{unit} of training", lambda look: look.seconds / length),
    ]
    for title, place in places:
        lines = []
        for look, (setting, looks) in zip(cycle(LOOKS), learnt.items(), strict=False):
            points = [(place(it), it.auc) for it in looks]
            called = "full tables" if setting.is_full else f"{setting.compression:g}x"
            lines.append(Line(called, "soft dashed" if setting.is_full else look, points))
        across = axis(title, [across for line in lines for across, _ in line.points], short, zero=True)
        up = axis("", [value for line in lines for _, value in line.points], short)
        what = f"AUC on validation rows against {title}"
        yield Chart(plot(what, across, up, lines), f"{what}: {curve}, so many times smaller, mean of the seeds.", None)


def _axes(found: Sequence[Finding], compressed: Sequence[Finding]) -> Iterator[_Across]:
    yield _Across(
        _bytes_axis([it.embedding_bytes for it in compressed]), lambda it: math.log10(it.embedding_bytes), levels=True
    )
    if len({it.rows for it in found}) > 1:
        rows = axis("rows trained on", [it.rows for it in found], short, zero=True)
        yield _Across(rows, lambda it: it.rows)
    unit, length = _unit(max(it.seconds for it in found))
    time = axis(f"{unit} of training", [it.seconds / length for it in found], short, zero=True)
    yield _Across(time, lambda it: it.seconds / length)


def _unit(longest: float) -> tuple[str, int]:
    return next(unit for unit in UNITS if longest >= unit[1] or unit == UNITS[-1])


def _curves(found: Sequence[Finding]) -> list[list[Finding]]:
    curves = defaultdict(list)
    for finding in found:
        curves[finding.setting.curve].append(finding)
    return list(curves.values())


def _points(look: str, found: Sequence[Finding], across: _Across, figure: Figure) -> list[Line]:
    """Intervals, and below them the line that joins them along the axis of bytes."""
    called, points = name(found[0].setting), [(across.place(it), figure(it).value) for it in found]
    bounds, look_of_dots = [figure(it).interval for it in found], look.removesuffix(" dashed")
    if across.levels:
        return [Line(called, look, points, dots=False), Line("", look_of_dots, points, bounds)]
    labels = ["" if it.setting.is_full else f"{it.setting.compression:g}x" for it in found]
    return [Line(called, look_of_dots, points, bounds, labels=labels)]


def _level(full: Finding, across: Axis, figure: Figure) -> Line:
    ends = [(end, figure(full).value) for end in (across.low, across.high)]
    return Line(name(full.setting), "soft dashed", ends, dots=False)


def _bytes_axis(values: Sequence[float]) -> Axis:
    """One on which places are powers of ten."""
    low, high = math.log10(min(values)), math.log10(max(values))
    factors = (1, 2, 5) if high - low < DECADES else (1,)
    ticks = [math.log10(factor) + power for power in range(math.floor(low), math.ceil(high) + 1) for factor in factors]
    first = max((tick for tick in ticks if tick <= low + 1e-9), default=low)
    last = min((tick for tick in ticks if tick >= high - 1e-9 and tick > first), default=high)
    shown = [(tick, short(float(f"{10**tick:.0e}"))) for tick in ticks if first <= tick <= last]
    return Axis("bytes of the embeddings", first, last, shown)
