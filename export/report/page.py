"""A page that needs nothing but itself: no network, no script."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import jinja2

from thimble.export.metrics.calibration import entropy
from thimble.export.report.charts import Chart
from thimble.export.report.numbers import count, figure, span
from thimble.export.report.tables import Table
from thimble.models.publishing import replaced
from thimble.models.spec import Metrics

_TEMPLATE = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    undefined=jinja2.StrictUndefined,
).get_template("page.html")


class Headline(NamedTuple):
    value: str
    title: str
    note: str


@dataclass(frozen=True)
class Page:
    """What there is to say; what is empty is left out. `facts` are names and values."""

    title: str
    standing: str
    headlines: Sequence[Headline] = ()
    advice: Sequence[str] = ()
    charts: Sequence[Chart] = ()
    tables: Sequence[Table] = ()
    facts: Sequence[tuple[str, str]] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """Write it, or put it in the place of the one before. OSError."""
        text = _TEMPLATE.render(vars(self))
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced(path, path.with_name(f"{path.name}.partial")) as partial:
            partial.write_text(text, "utf-8", "backslashreplace")  # names of files may be any bytes


def headlines(metrics: Metrics) -> list[Headline]:
    """The figures to look at first, with their intervals and what they are measured by."""
    found = [
        Headline(
            figure(metrics.normalised_entropy) or figure(metrics.log_loss),
            "normalised entropy" if metrics.normalised_entropy is not None else "log loss",
            f"log loss {figure(metrics.log_loss)}; {figure(entropy(metrics.base_rate))} for the constant "
            f"{figure(metrics.base_rate)}",
        )
    ]
    if metrics.auc is not None:
        best = f"; best reachable {figure(metrics.best_auc)}" if metrics.best_auc is not None else ""
        found.append(Headline(figure(metrics.auc), "AUC", f"{_interval(metrics.auc_interval)}{best}"))
    if metrics.group_auc is not None:
        of_all = f"{count(metrics.one_class_groups or 0)} of {count(metrics.groups or 0)}"
        note = f"{_interval(metrics.group_auc_interval)}; {of_all} groups have one class and are left out"
        found.append(Headline(figure(metrics.group_auc), "AUC within groups", note))
    if metrics.calibration is not None:
        note = f"{_interval(metrics.calibration_interval)}; calibration error {figure(metrics.calibration_error)}"
        found.append(Headline(figure(metrics.calibration), "calibration: mean score over base rate", note))
    return found


def _interval(bounds: tuple[float, float] | None) -> str:
    return f"95 % interval {span(bounds)}" if bounds else "too little for an interval"
