"""The page of a training run."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from thimble.export.report import answers, tables
from thimble.export.report.charts import curve_charts, history_charts
from thimble.export.report.evaluation import artifact_facts
from thimble.export.report.numbers import count, duration
from thimble.export.report.page import Page
from thimble.export.training.checkpoint import Checkpoint, Progress, RunConfig
from thimble.export.training.errors import RunError
from thimble.export.wording import counted
from thimble.models.spec import Metrics


class FinishedRun(NamedTuple):
    """A run to compare with."""

    folder: Path
    config: RunConfig
    metrics: Metrics

    @staticmethod
    def load(folder: Path) -> "FinishedRun":
        """RunError: it is absent, damaged or unfinished."""
        config, progress, _ = Checkpoint(folder).load()
        if progress.metrics is None:
            raise RunError(f"{folder}: training is not finished, so there is nothing to compare with")
        return FinishedRun(folder, config, progress.metrics)


def run_page(
    config: RunConfig,
    progress: Progress,
    compared: Sequence[FinishedRun] = (),
    bags: Mapping[str, tables.BagFigures] | None = None,
) -> Page:
    """A run as far as it has come, beside others; `bags` is what its rows have of them, where that is known."""
    metrics, kept = progress.metrics, config.recipe.negatives_kept
    best = progress.best_epoch
    shown = [] if best is None else answers.epochs(config.spec, progress.validation, best, progress.start)
    if metrics:
        models = {"this run": metrics} | {_called(other, config): other.metrics for other in compared}
        shown = [*answers.compared(config.spec, models, "On held-out rows, with 95 % intervals."), *shown]
    return Page(
        title=f"{config.spec.name}: a training run",
        standing=_standing(config, progress),
        headlines=answers.headlines_of(config.spec, metrics) if metrics else [],
        advice=progress.advice,
        charts=[
            *history_charts(progress.history, kept),
            *(curve_charts(progress.curves, kept) if progress.curves else []),
        ],
        tables=[*shown, *tables.fields(config.spec), *tables.bags(config.spec, bags or {})],
        facts=[*_facts(config), *artifact_facts(config.spec)],
    )


def _called(other: FinishedRun, config: RunConfig) -> str:
    same = (other.config.held_out_clicks, other.config.held_out_rows) == (config.held_out_clicks, config.held_out_rows)
    return str(other.folder) if same else f"{other.folder}\n(on other rows)"


def _standing(config: RunConfig, progress: Progress) -> str:
    trained = f"{count(progress.rows_trained)} rows in {duration(progress.seconds)}"
    if progress.metrics and progress.best_epoch == 0:
        epochs = counted(progress.epoch, "epoch")
        return f"A constant, after {epochs} in {duration(progress.seconds)} that were no better than that."
    if progress.metrics:
        return f"Trained on {trained}, and judged by {count(progress.metrics.rows)} rows that were held out."
    return f"Not finished: {progress.epoch} of at most {config.recipe.epochs} epochs are done, {trained}."


def _facts(config: RunConfig) -> Iterator[tuple[str, str]]:
    yield "training rows", f"{count(config.train_rows)} of {config.source}"
    if config.validation_rows:
        yield "validation rows", count(config.validation_rows)
    yield "held-out rows", count(config.held_out_rows)
    for name, value in config.recipe:
        yield name.replace("_", " "), str(value)
