"""Pictures of a comparison: SVG whose colours are the page's, so that they are at home in light and dark."""

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from thimble.loadtests.report import numbers, projection
from thimble.loadtests.results.comparison import NAMES, Comparison, Name
from thimble.loadtests.results.run import joined

WIDTH, HEIGHT = 4.0, 2.9  # inches at 96 pixels: a phone's width
INK, FAINT, A, B = "#010203", "#010204", "#010205", "#010206"
VARIABLES = {INK: "var(--ink)", FAINT: "var(--line)", A: "var(--a)", B: "var(--b)"}
COLOURS: dict[Name, str] = {"A": A, "B": B}
STYLE: Any = {
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.5,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
}


class Chart(NamedTuple):
    svg: str
    caption: str


def charts(found: Comparison) -> list[Chart]:
    """Those for which there is something to draw."""
    drawn = (draw(found) for draw in (latency, start_up, memory, shipped, projected))
    return [chart for chart in drawn if chart]


def latency(found: Comparison) -> Chart | None:
    steps = {
        name: [joined(same) for same in zip(*(turn.steps for turn in found.turns(name) if turn.steps), strict=False)]
        for name in NAMES
    }
    if not all(steps.values()):
        return None
    with _canvas("latency") as (axes, svg):
        for name in NAMES:
            answered = [(step.offered, step.latency) for step in steps[name] if step.latency]
            rates = [rate for rate, _ in answered]
            for percentile, marker, width in (("p50", "o", 1.0), ("p99", "s", 1.8), ("p99_9", "", 0.7)):
                heights = [getattr(latency, percentile) for _, latency in answered]
                label = f"{_label(found, name)}, {percentile.replace('_', '.')}"
                axes.plot(rates, heights, marker=marker, linewidth=width, color=COLOURS[name], label=label)
        axes.set(xlabel="requests/s offered", ylabel="latency, ms", yscale="log", xlim=(0, None))
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        _plain(axes.yaxis, numbers.number)
        axes.legend(ncols=2, loc="upper center", bbox_to_anchor=(0.45, 1.32), fontsize=7, columnspacing=1)
    return Chart(svg[0], "Latency against load, all rounds together, counted from when a request was due.")


def start_up(found: Comparison) -> Chart | None:
    rows = []
    for cold in (True, False):
        for name in NAMES:
            startups = [startup for turn in found.turns(name) if (startup := turn.startup(cold=cold))]
            if startups:
                middle = sorted(startups, key=lambda startup: startup.rows)[len(startups) // 2]
                rows.append((name, f"{name}, {'cold' if cold else 'warm'}", middle))
    if not rows:
        return None
    with _canvas("start-up") as (axes, svg):
        for y, (name, _, startup) in enumerate(rows):
            axes.barh(y, startup.ready, color=FAINT, height=0.55)
            axes.barh(y, startup.rows - startup.ready, left=startup.ready, color=COLOURS[name], height=0.55)
            axes.plot([startup.first], [y], marker="|", markersize=15, color=INK)
            axes.text(startup.rows, y, f" {numbers.seconds(startup.rows)}", va="center", fontsize=8)
        axes.set(xlabel="seconds since the process was started", xlim=(0, 1.2 * max(row[2].rows for row in rows)))
        axes.set_yticks(range(len(rows)), [row[1] for row in rows])
        axes.invert_yaxis()
        axes.grid(False, axis="y")
    caption = (
        "Start-up, the median round: grey until ready, a stroke at the first answer, coloured until 2,048 rows are "
        "answered. Cold: the files were not in memory; warm: they were."
    )
    return Chart(svg[0], caption)


def memory(found: Comparison) -> Chart | None:
    if not all(found.replicas.get(name) for name in NAMES):
        return None
    with _canvas("memory") as (axes, svg):
        for name in NAMES:
            replicas = found.replicas[name]
            counts = [r.replicas for r in replicas]
            heights = [r.memory.proportional / 1e6 for r in replicas]
            axes.plot(counts, heights, marker="o", color=COLOURS[name], label=_label(found, name))
            if (line := projection.by_replicas(replicas)) and counts[-1] > 1:
                further = [counts[-1], 2 * counts[-1]]
                axes.plot(further, [line.at(x) / 1e6 for x in further], "--", color=COLOURS[name], linewidth=1)
        axes.set(xlabel="replicas on one machine", ylabel="memory, MB", ylim=(0, None), xlim=(0, None))
        _plain(axes.yaxis, numbers.number)
        axes.legend(loc="best")
    caption = (
        "Memory of replicas on one machine, pages that several of them map counted once. Dashed: a projection, the "
        "straight line through what was measured."
    )
    return Chart(svg[0], caption)


def shipped(found: Comparison) -> Chart | None:
    sizes = {name: side.size for name, side in found.sides.items() if side.size}
    if len(sizes) < len(NAMES):
        return None
    with _canvas("shipped", height=1.5) as (axes, svg):
        for y, name in enumerate(NAMES):
            axes.barh(y, sizes[name], color=COLOURS[name], height=0.55)
            axes.text(sizes[name], y, f" {numbers.size(sizes[name])}", va="center", fontsize=8)
        axes.set(xscale="log", xlim=(min(sizes.values()) / 10, max(sizes.values()) * 30))
        axes.set_yticks(range(len(NAMES)), NAMES)
        axes.invert_yaxis()
        axes.grid(False, axis="y")
        _plain(axes.xaxis, numbers.size)
    return Chart(svg[0], "Bytes that a release ships. The axis is logarithmic: each line is ten times the one before.")


def projected(found: Comparison) -> Chart | None:
    target = projection.CRITEO_TB_BYTES
    if any(projection.projected(found, name, "memory", target) is None for name in NAMES):
        return None
    with _canvas("projected") as (axes, svg):
        for name in NAMES:
            sizes = sorted(found.sizes[name], key=lambda size: size.tables)
            heights = [projection.whole(size.memory) for size in sizes]
            axes.plot([size.tables for size in sizes], heights, marker="o", color=COLOURS[name])
            further = [sizes[-1].tables * (target / sizes[-1].tables) ** (i / 40) for i in range(41)]
            line = [projection.projected(found, name, "memory", tables) or 0 for tables in further]
            axes.plot(further, line, "--", color=COLOURS[name], linewidth=1.2)
            end = line[-1]
            axes.plot([target], [end], marker="o", markerfacecolor="none", color=COLOURS[name])
            axes.annotate(numbers.size(end), (target, end), (-7, 3), textcoords="offset points", ha="right", fontsize=8)
        axes.set(xscale="log", yscale="log", xlabel="full tables", ylabel="memory of one server")
        _plain(axes.xaxis, numbers.size)
        _plain(axes.yaxis, numbers.size)
    caption = (
        "Memory of one server with all of its files in memory, against the size of the full tables. Dots were "
        f"measured. Dashed, up to the {numbers.size(target)} of Criteo-TB's tables: a projection, the straight line "
        "through the dots."
    )
    return Chart(svg[0], caption)


def _label(found: Comparison, name: Name) -> str:
    label = found.sides[name].label if name in found.sides else name
    return f"{name}, {label}" if len(label) <= 20 else name


def _plain(axis: Any, form: Callable[[float], str]) -> None:
    axis.set_major_formatter(FuncFormatter(lambda value, _: form(value)))
    axis.set_minor_formatter(NullFormatter())


@contextmanager
def _canvas(name: str, height: float = HEIGHT) -> Iterator[tuple[Any, list[str]]]:
    """Axes to draw on; the SVG is in the list afterwards."""
    svg: list[str] = []
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        canvas = Canvas(figsize=(WIDTH, height), layout="constrained")
        yield canvas.subplots(), svg
        buffer = io.StringIO()
        canvas.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg.append(_at_home(buffer.getvalue()))


def _at_home(svg: str) -> str:
    """Part of a page, in its colours and its font."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"'DejaVu Sans'[^;\"]*", "system-ui, sans-serif", svg)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r'\1 role="img"', svg, count=1)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, variable)
    return svg
