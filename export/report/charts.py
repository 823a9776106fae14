"""The plots of a page, each with the numbers behind it."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from markupsafe import Markup

from thimble.export.metrics.calibration import ReliabilityBin, expected_error
from thimble.export.metrics.curves import Curves, ScoreBin
from thimble.export.report.numbers import count, duration, figure, short, span
from thimble.export.report.svg import Axis, Bars, Line, axis, plot
from thimble.export.report.tables import Table
from thimble.export.training.history import Point

UNITS = (("hours", 3600), ("minutes", 60), ("seconds", 1))
# Probabilities whose log-odds are written on an axis, as far as there is room.
ODDS = (0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99, 0.999)


class Chart(NamedTuple):
    """`table` has the numbers of the plot, unless that of the chart before has them too."""

    svg: Markup
    caption: str
    table: Table | None


def history_charts(history: Sequence[Point], negatives_kept: float = 1) -> Iterator[Chart]:
    """Loss and AUC against rows and against time, of what there is.

    The training loss is that of the rows as they are, the rest is of the full log: with sampled negatives they differ.
    """
    if not history:
        return
    sampled = ", sampled rows" if negatives_kept < 1 else ""
    table: Table | None = _history_table(history, f"training loss{sampled}")
    rows = [float(point.rows) for point in history]
    for across, places in ((axis("rows trained on", rows, short, zero=True), rows), _time(history)):
        placed = list(zip(places, history, strict=True))
        losses = [
            Line(f"training{sampled}", "a dashed", [(place, point.loss) for place, point in placed]),
            Line("validation", "b", [(place, point.log_loss) for place, point in placed if point.log_loss is not None]),
        ]
        aucs = Line("validation", "b", [(place, point.auc) for place, point in placed if point.auc is not None])
        for what, lines in (("Log loss", losses), ("AUC", [aucs])):
            drawn = [line for line in lines if line.points]
            if drawn:
                up = axis("", [value for line in drawn for _, value in line.points], short)
                title = f"{what} against {across.title}"
                yield Chart(plot(title, across, up, drawn), f"{title}.", table)
                table = None


def reliability_chart(bins: Sequence[ReliabilityBin]) -> Chart:
    """Click rates against scores."""
    most = max(max(found.score, found.interval[1]) for found in bins)
    across, up = axis("mean score", [most], short, zero=True), axis("", [most], short, zero=True)
    marks = [
        Line("a calibrated model", "soft dashed", [(0, 0), (across.high, across.high)], dots=False),
        Line("click rate, 95 % interval", "b", [(b.score, b.rate) for b in bins], [found.interval for found in bins]),
    ]
    caption = f"Reliability: {len(bins)} bins of equal weight. Scores are right where the interval meets the line."
    if (chance := expected_error(bins)) is not None:
        caption += f" On so many rows chance alone makes a calibration error of about {chance:.4f}."
    head = ["rows", "mean score", "click rate", "95 % interval"]
    table = Table(
        "Reliability", "", head, [[count(b.rows), figure(b.score), figure(b.rate), span(b.interval)] for b in bins]
    )
    return Chart(plot("Click rate against score", across, up, marks), caption, table)


def histogram_chart(bins: Sequence[ScoreBin], negatives_kept: float = 1) -> Chart:
    """How many rows, of the full log, have which score, on an axis of log-odds."""
    title = "Share of the rows by score" if negatives_kept == 1 else "Share of the full log's rows by score"
    low, high = _log_odds(bins[0].low), _log_odds(bins[-1].high)
    ticks = [(_log_odds(p), f"{p:.1%}".replace(".0%", "%")) for p in ODDS if low <= _log_odds(p) <= high]
    across = Axis("score, on a scale of log-odds", low, high, ticks)
    up = axis("", [max(b.clicked + b.others for b in bins)], lambda share: f"{share:.0%}", zero=True)
    sides = [(_log_odds(b.low), _log_odds(b.high), b) for b in bins]
    marks = [
        Bars("not clicked", "a", [(left, right, b.clicked, b.clicked + b.others) for left, right, b in sides]),
        Bars("clicked", "b", [(left, right, 0, b.clicked) for left, right, b in sides]),
    ]
    head = ["score from", "to", "clicked", "not clicked"]
    rows = [[figure(b.low), figure(b.high), f"{b.clicked:.2%}", f"{b.others:.2%}"] for b in bins]
    return Chart(
        plot(title, across, up, marks),
        f"{title}.",
        Table("Scores", "", head, rows),
    )


def curve_charts(curves: Curves, negatives_kept: float = 1) -> list[Chart]:
    """Of scores of held-out rows."""
    return [reliability_chart(curves.reliability), histogram_chart(curves.histogram, negatives_kept)]


def _history_table(history: Sequence[Point], loss: str) -> Table:
    head = ["epoch", "rows", "time", loss, "validation log loss", "validation AUC"]
    rows = [
        [str(p.epoch), count(p.rows), duration(p.seconds), figure(p.loss), figure(p.log_loss), figure(p.auc)]
        for p in history
    ]
    return Table("How training went", "", head, rows)


def _time(history: Sequence[Point]) -> tuple[Axis, list[float]]:
    """An axis of the unit that fits, and where on it the points are."""
    longest = history[-1].seconds
    unit, length = next(unit for unit in UNITS if longest >= unit[1] or unit == UNITS[-1])
    places = [point.seconds / length for point in history]
    return axis(f"{unit} of training", places, short, zero=True), places


def _log_odds(probability: float) -> float:
    return math.log(probability / (1 - probability))
