"""The page of a trade-off, as far as it has come."""

from collections.abc import Iterator, Sequence

from thimble.export.report.numbers import count, duration, figure, span
from thimble.export.report.page import Headline, Page
from thimble.export.report.tables import Table
from thimble.export.tradeoff.advice import advice, advised, in_words, is_sure
from thimble.export.tradeoff.carry_out import State
from thimble.export.tradeoff.charts import learning_charts, quality_charts
from thimble.export.tradeoff.findings import Finding
from thimble.export.tradeoff.grid import Run, Setting
from thimble.export.tradeoff.table import name, table
from thimble.export.training.checkpoint import RunConfig
from thimble.export.wording import counted, size


def tradeoff_page(config: RunConfig, state: State, found: Sequence[Finding], allowed: float) -> Page:
    """`config` is that of the run that all others differ from in their embeddings, their epochs and their seeds."""
    shown = [table(found, state.outcomes[0].metrics if state.outcomes else None, allowed)]
    if state.failed:
        rows = [[called(run), why] for run, why in state.failed.items()]
        shown.append(Table("Failed", "The same command tries them again.", ["run", "why"], rows))
    if state.left_out:
        note = "There was no time for them. The same command goes on with them."
        shown.append(Table("Left out", note, ["run"], [[called(run)] for run in state.left_out]))
    return Page(
        title=f"{config.spec.name}: quality against memory",
        standing=_standing(state),
        headlines=list(_headlines(found, allowed, state)),
        advice=[advice(found, allowed, len(state.untrained), len(state.left_out)).marked],
        charts=[
            *quality_charts(found),
            *learning_charts(state.outcomes, _shown(found, allowed), config.validation_rows),
        ],
        tables=shown,
        facts=list(_facts(config)),
    )


def called(run: Run) -> str:
    """A run's name in a line."""
    smaller = "" if run.setting.is_full else f", {run.setting.compression:g}x"
    return f"{name(run.setting)}{smaller}, seed {run.seed}"


def _standing(state: State) -> str:
    models = len({outcome.setting for outcome in state.outcomes})
    took = duration(sum(outcome.whole_seconds for outcome in state.outcomes))
    parts = [f"{counted(len(state.outcomes), 'run')} of {counted(models, 'model')}, which took {took}"]
    if state.failed:
        parts.append(f"{len(state.failed):,} failed")
    if state.left_out:
        parts.append(f"{len(state.left_out):,} left out")
    return "; ".join(parts) + "."


def _headlines(found: Sequence[Finding], allowed: float, state: State) -> Iterator[Headline]:
    full = max((it for it in found if it.setting.is_full), key=lambda it: it.auc.value, default=None)
    best = advised(found, allowed)
    if best is not None and best.gap is not None:
        doubt = "" if is_sure(best, allowed) else ", not yet sure"
        half = "" if best.gap.half is None else f"± {best.gap.half:.4f}; "
        yield Headline(size(best.embedding_bytes), f"smallest memory that will do{doubt}", in_words(best))
        yield Headline(f"{best.gap.value:+.4f}", "its AUC beside full tables", f"{half}{allowed:g} less is allowed")
    if full is not None:
        bounds = next(it.metrics.auc_interval for it in state.outcomes if it.setting == full.setting)
        of_rows = f"; other held-out rows might say {span(bounds)}" if bounds else ""
        note = f"{size(full.embedding_bytes)}{of_rows}"
        yield Headline(figure(full.auc.value), "AUC of full tables", note)


def _shown(found: Sequence[Finding], allowed: float) -> list[Setting]:
    """Full tables and the curve of the model that is advised, or of the best one."""
    compressed = [it for it in found if not it.setting.is_full]
    if not compressed:
        return [it.setting for it in found[:1]]
    curve = (advised(found, allowed) or max(compressed, key=lambda it: it.auc.value)).setting.curve
    return [it.setting for it in found if it.setting.curve == curve or it.setting.is_full]


def _facts(config: RunConfig) -> Iterator[tuple[str, str]]:
    yield "training rows", f"{count(config.train_rows)} of {config.source}"
    if config.validation_rows:
        yield "validation rows", count(config.validation_rows)
    yield "held-out rows", count(config.held_out_rows)
    yield "as full tables", f"{size(config.spec.full_table_bytes)} of {config.spec.embedding_dim} floats an id"
    yield "recipe", config.recipe.line(embeddings=True)
