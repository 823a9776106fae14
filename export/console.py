"""What the exporter prints."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import TYPE_CHECKING, NoReturn, ParamSpec

import typer

from thimble.export.clicks.bad_rows import BadRows
from thimble.export.clicks.bag_use import BagUse
from thimble.export.clicks.cached import Selection
from thimble.export.clicks.rows import Parts
from thimble.export.wording import counted, listed, size, times
from thimble.models.provenance import PlattScaling, Provenance, Teacher
from thimble.models.schemes.base import HashedEmbedding
from thimble.models.schemes.block import BlockEmbedding
from thimble.models.schemes.indexed import IndexedEmbedding
from thimble.models.spec import Metrics, ModelSpec, PrecisionCost

if TYPE_CHECKING:  # it imports torch
    from thimble.export.artifact.agreement import Agreement

Options = ParamSpec("Options")


def fail(message: str, status: int = 1) -> NoReturn:
    """End with one sentence on stderr."""
    print(f"thimble-export: {message}", file=sys.stderr)
    sys.exit(status)


def stoppable(command: Callable[Options, None]) -> Callable[Options, None]:
    """A command that Ctrl-C stops with a sentence, whatever it is at."""

    @wraps(command)
    def run(*arguments: Options.args, **options: Options.kwargs) -> None:
        try:
            command(*arguments, **options)
        except KeyboardInterrupt:
            fail("stopped; the same command goes on from here", 130)

    return run


def echo_all(lines: Sequence[str]) -> None:
    """Lines on stdout."""
    for line in lines:
        typer.echo(line)


def be_quiet() -> None:
    """Nothing more on stdout."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def passed_over(names: Sequence[str]) -> list[str]:
    """A line that says what was not read, in folders or because it was named twice."""
    return [f"passed over ({len(names):,}): {listed(names)}"] if names else []


def cached(parts: Parts) -> list[str]:
    """A line a cache, which says what it costs."""
    caches = dict.fromkeys(part.source.whole for part in parts if part and isinstance(part.source, Selection))
    return [f"{it.description}: {it.count():,} good rows, {size(it.size)} in {it.folder}" for it in caches]


def metrics_line(metrics: Metrics) -> str:
    """Metrics in one line, the best reachable AUC beside the model's where it is known."""
    parts = []
    if metrics.auc is None:
        parts.append("AUC undefined: the rows are all of one class")
    else:
        parts.append(f"AUC {metrics.auc:.4f}{_interval(metrics.auc_interval)}")
    if metrics.best_auc is not None:
        parts.append(f"best reachable {metrics.best_auc:.4f}")
    if metrics.groups is not None:
        found = "undefined" if metrics.group_auc is None else f"{metrics.group_auc:.4f}"
        left_out = f"{metrics.one_class_groups:,} of {metrics.groups:,} groups, of one class, left out"
        parts.append(f"AUC within groups {found}{_interval(metrics.group_auc_interval)} ({left_out})")
    parts.append(f"log loss {metrics.log_loss:.4f}")
    if metrics.normalised_entropy is not None:
        parts.append(f"normalised entropy {metrics.normalised_entropy:.4f}")
    parts.append(f"base rate {metrics.base_rate:.4f}")
    if metrics.calibration is not None:
        parts.append(f"calibration {metrics.calibration:.3f}")
    if metrics.calibration_error is not None:
        parts.append(f"calibration error {metrics.calibration_error:.4f}")
    return ", ".join([*parts, counted(metrics.rows, "row")])


def metrics_lines(metrics: Metrics, spec: ModelSpec) -> list[str]:
    """A line an answer, which begins with its name where there are several."""
    if not spec.heads:
        return [metrics_line(metrics)]
    lines = map(metrics_line, metrics.by_head)
    return [f"{name}: {line}" for name, line in zip(spec.outputs, lines, strict=True)]


def advice(sentences: Sequence[str]) -> list[str]:
    """What a user should know of a run, a line each."""
    return [f"note: {sentence}" for sentence in sentences]


def agreement_line(spec: ModelSpec, agreement: "Agreement") -> str:
    """How an exported file compares with the model that it was made from, in one line."""
    lookups = "lookups identical, " if isinstance(spec.embedding, HashedEmbedding) else ""  # full tables have none
    torch, numpy = _difference(agreement.torch_onnx), _difference(agreement.numpy_onnx)
    return f"over {agreement.rows} rows {lookups}scores {torch} torch's and {numpy} numpy's"


def cost_lines(cost: PrecisionCost, spec: ModelSpec) -> list[str]:
    """What a precision costs, a line an answer."""
    if not spec.heads:
        return [cost_line(cost)]
    costs = [cost, *(cost.others or {}).values()]
    return [f"{name}: {cost_line(of_head)}" for name, of_head in zip(spec.outputs, costs, strict=True)]


def cost_line(cost: PrecisionCost) -> str:
    """What a precision costs, in one line."""
    parts = ["AUC undefined" if cost.auc is None else f"AUC {cost.auc:+.6f}", f"log loss {cost.log_loss:+.6f}"]
    parts.append(f"logits change by {cost.logit_mean:.1e} on average and {cost.logit_largest:.1e} at most")
    return ", ".join([*parts, counted(cost.rows, "held-out row")])


def bags(spec: ModelSpec, use: Mapping[str, BagUse]) -> list[str]:
    """A line for each bag that says what a row has of it."""
    return [
        f"bag {field.name}: {field.bag}; a row has {use[field.name].mean:.1f} on average, and "
        f"{use[field.name].cut_share(field.bag.values):.1%} of all values are cut"
        for field in spec.fields
        if field.bag and field.name in use
    ]


def hot_rows(spec: ModelSpec) -> list[str]:
    """A line that says how many ids have a row of their own, if any."""
    embedding = spec.embedding
    if not isinstance(embedding, BlockEmbedding) or embedding.hot is None:
        return []
    shared = embedding.shared_slots(spec.embedding_dim) / embedding.memory_shape[0]
    rest = size(round(shared * (spec.embedding_bytes - embedding.index_bytes)))
    who = f"{counted(embedding.hot.ids, 'id')} with {embedding.hot.reads:.0%} of the reads"
    return [f"hot rows: {who} have rows of their own; all others share {rest}"]


def bad_rows(bad: BadRows, fate: str = "were left out") -> list[str]:
    """Lines that say what became of bad rows, and what is wrong with the first."""
    if not bad.count:
        return []
    more = " or more" if bad.may_be_more else ""
    lines = [f"{bad.count:,}{more} bad rows {fate}:", *(f"  {message}" for message in bad.first.values())]
    return lines if bad.count <= len(bad.first) else [*lines, "  ..."]


def inspection(spec: ModelSpec, file_bytes: int) -> list[tuple[str, str]]:
    """An artifact's description as rows of a table."""
    embedding = spec.embedding
    rows = [
        ("model", f"{spec.name}, schema {spec.schema_version}, {spec.precision}"),
        ("features", f"{len(spec.dense)} dense, {len(spec.fields)} fields{_kinds(spec)}"),
    ]
    rows += [(f"bag {field.name}", str(field.bag)) for field in spec.fields if field.bag]
    if spec.dense:
        rows.append(("numbers", str(spec.dense_transform)))
        rows += [("", figures) for figures in spec.dense_transform.figures(spec.dense)]
    if spec.fields:
        rows.append(("embedding", f"{embedding.scheme} version {embedding.version}, dimension {spec.embedding_dim}"))
    if isinstance(embedding, HashedEmbedding):
        rows.append(
            (
                "memory",
                f"{embedding.memory_length:,} {spec.precision.memory} weights in chunks of {embedding.chunk_size}",
            )
        )
    if isinstance(embedding, BlockEmbedding) and (hot := embedding.hot):
        share = f"with {hot.reads:.0%} of the training data's reads"
        rows.append(("hot rows", f"{counted(hot.ids, 'id')} {share}; their keys weigh {size(embedding.index_bytes)}"))
    if isinstance(embedding, IndexedEmbedding):
        own = sum(field.rows - 1 for field in spec.fields)
        rows.append(("rows", f"{own:,} ids have one of their own; their index weighs {size(embedding.index_bytes)}"))
    if spec.heads:
        rows.append(("answers", ", ".join(map(str, spec.heads))))
    rows += [("architecture", spec.architecture.kind), ("MLPs", str(spec.architecture)), ("file", size(file_bytes))]
    if spec.fields:
        rows.append(("embedding weights", size(spec.embedding_bytes)))
        rows.append(("as full tables", f"{size(spec.full_table_bytes)}, {times(spec.compression)} as much"))
    if spec.provenance:
        p = spec.provenance
        trained = counted(p.rows_trained, "row")
        rows.append(("trained on", f"{p.source}: {trained}, batch {p.batch_size}, seed {p.seed}"))
        rows += training_lines(p)
        rows.append(("written by", p.tool))
    if it := spec.imported:
        met = f", where {counted(it.expected_rows, 'row')} had these scores" if it.expected_rows else ""
        rows += [("imported from", f"{it.format} checkpoint {it.checkpoint}{met}"), ("written by", it.tool)]
    if spec.metrics:
        rows += [("held out", line) for line in metrics_lines(spec.metrics, spec)]
    if spec.precision_cost:
        rows += [("precision costs", line) for line in cost_lines(spec.precision_cost, spec)]
    if spec.golden:
        rows.append(("golden rows", str(spec.golden.rows)))
    return rows


def platt_line(platt: PlattScaling) -> str:
    """What scores were scaled by, in one line."""
    return f"slope {platt.slope:.4f}, intercept {platt.intercept:+.4f}, from {counted(platt.rows, 'validation row')}"


def teacher_line(teacher: Teacher) -> str:
    """Which model's scores another one has learnt, in one line."""
    seen = "clicks that its file does not name" if teacher.source is None else teacher.source
    rows = "" if teacher.rows_trained is None else f": {counted(teacher.rows_trained, 'row')}"
    begun = [name for name, own in (("MLPs", teacher.mlps), ("embeddings", teacher.embeddings)) if own]
    start = f"{' and '.join(begun)} begin as its own" if begun else "no weights begin as its own"
    return f"{teacher.name}, trained on {seen}{rows}; {teacher.weight:.0%} of a target is its score, {start}"


def training_lines(provenance: Provenance) -> list[tuple[str, str]]:
    """What else shaped the weights, as rows of a table: none where it was clicks alone."""
    rows = []
    if before := provenance.ancestors:
        trained = sum(ancestor.rows_trained for ancestor in before)
        sources = listed([ancestor.source for ancestor in before])
        rows.append(("went on from", f"{counted(len(before), 'run')} of {counted(trained, 'row')}: {sources}"))
    teachers = [*(run.teacher for run in before), provenance.teacher]
    rows += [("teacher", teacher_line(teacher)) for teacher in dict.fromkeys(teachers) if teacher]
    if provenance.negatives_kept < 1:
        rows.append(("negatives kept", f"{provenance.negatives_kept:g}, which scores and metrics make up for"))
    if platt := provenance.platt:
        rows.append(("Platt scaling", platt_line(platt)))
    return rows


def _interval(bounds: tuple[float, float] | None) -> str:
    return f" (95 % interval {bounds[0]:.4f} to {bounds[1]:.4f})" if bounds else ""


def _difference(most: float) -> str:
    return f"within {most:.1e} of" if most else "identical to"


def _kinds(spec: ModelSpec) -> str:
    kinds = [field.kind for field in spec.fields]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds)))
    return f" ({counts})" if counts else ""
