"""The table of a trade-off, on its page and on the console."""

import math
from collections.abc import Sequence

from thimble.export.report.numbers import count, duration, figure
from thimble.export.report.tables import Table
from thimble.export.tradeoff.findings import Finding, Mean
from thimble.export.tradeoff.grid import Setting
from thimble.export.wording import size
from thimble.models.spec import Metrics

_NOTE = (
    "Held-out rows, the same ones for all: means over seeds, each with the half of its 95 % interval. It is Student's, "
    "with the scatter of seeds pooled over all models, so it says what another seed would change and not what other "
    "rows would. Rows are those that the kept weights have seen. Rows to full tables' quality are told by validation "
    "rows, as times what full tables took; few of them may say never of a model that is better on held-out rows. Full "
    "tables have a row for each id that comes at least twice, and below bytes is the share of these tables'; times "
    "smaller is by a row for every id. Runs side by side share the machine, and so do their times. A step is timed by "
    "itself beside one of full tables, on the same batches in turn."
)


def table(found: Sequence[Finding], constant: Metrics | None, allowed: float) -> Table:
    """`constant` are metrics of any run, which say what a constant score would have."""
    head = [
        *("model", "times\nsmaller", "embeddings,\nof full", "seeds", "AUC", "beside\nfull", "normalised\nentropy"),
        *("rows", "time", f"rows to\n{allowed:g} of full", "time\na step"),
    ]
    full = max((it for it in found if it.setting.is_full), key=lambda it: it.auc.value, default=None)
    rows = [_row(it, full) for it in found]
    if constant is not None:
        rows.append(["the base rate for all", "", "0 B", "", "0.5000", "", "1.0000", "", "", "", ""])
    return Table("All models", _NOTE, head, rows)


def lines(shown: Table) -> list[str]:
    """The same for a terminal."""
    cells = [[" ".join(cell.split()) for cell in row] for row in (shown.head, *shown.rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def name(setting: Setting) -> str:
    """A curve's, or full tables'."""
    epochs = f", {setting.epochs} epochs" if setting.epochs else ""
    if setting.is_full:
        return f"full tables{epochs}"
    hot = ", hot rows" if setting.hot_rows else ""
    return f"{setting.scheme} {setting.precision}{hot}, chunks of {setting.chunk}{epochs}"


def _row(finding: Finding, full: Finding | None) -> list[str]:
    setting = finding.setting
    share = ""
    if full and not setting.is_full:
        share = f"\n{100 * finding.embedding_bytes / full.embedding_bytes:,.3g} %"
    return [
        name(setting).replace(", chunks", ",\nchunks"),
        "" if setting.is_full else f"{setting.compression:g}",
        f"{size(finding.embedding_bytes)}{share}",
        str(finding.seeds),
        _with_half(finding.auc, figure(finding.auc.value)),
        _with_half(finding.gap, f"{finding.gap.value:+.4f}") if finding.gap else "",
        _with_half(finding.normalised_entropy, figure(finding.normalised_entropy.value)),
        count(finding.rows),
        duration(finding.seconds),
        _factor(finding.rows_to_full),
        _factor(finding.step),
    ]


def _with_half(mean: Mean, value: str) -> str:
    return value if mean.half is None else f"{value}\n± {mean.half:.4f}"


def _factor(value: float | None) -> str:
    if value is None:
        return ""
    return "never" if math.isinf(value) else f"{value:.2f} x"
