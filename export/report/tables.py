"""What a page says in tables."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from thimble.export.metrics.calibration import entropy
from thimble.export.metrics.intervals import Bounds
from thimble.export.report.numbers import count, figure, span
from thimble.export.wording import size, times
from thimble.models.base import FLOAT_BYTES
from thimble.models.schemes.base import HashedEmbedding
from thimble.models.spec import Metrics, ModelSpec

FIELDS = 15


class BagFigures(NamedTuple):
    """What rows have of a bag: the mean of its values, and the share of all values for which it has no room."""

    rows: int
    mean: float
    cut: float


class Table(NamedTuple):
    title: str
    note: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def compared(models: Mapping[str, Metrics], note: str) -> Table:
    """Metrics of models by name, the first of them beside the constant that it has to beat.

    What is undefined on rows of one class is so for the constant too, and left blank.
    """
    first = next(iter(models.values()))
    head = ["", "log loss", "normalised\nentropy", "AUC", "calibration", "calibration\nerror", "rows"]
    grouped = any(metrics.groups is not None for metrics in models.values())
    rows = [[name, *_metrics(metrics, grouped)] for name, metrics in models.items()]
    figures = [(first.normalised_entropy, 1), (first.auc, 0.5), (first.calibration, 1), (first.calibration_error, 0)]
    if grouped:
        head.insert(4, "AUC within\ngroups")
        figures.insert(2, (first.group_auc, 0.5))
    constant = [figure(entropy(first.base_rate)), *(figure(None if of is None else value) for of, value in figures)]
    constant.append(count(first.rows))
    return Table("Against a constant and other models", note, head, [*rows, ["the base rate for all", *constant]])


def epochs(validation: Sequence[Metrics], best: int, start: Metrics | None = None) -> Table:
    """Metrics of validation rows after each epoch, of which one is the best; 0 is the base rate for all."""
    head = ["epoch", "log loss", "normalised\nentropy", "AUC", "calibration", "calibration\nerror"]
    rows = [
        [
            f"{epoch}, the best" if epoch == best else str(epoch),
            figure(metrics.log_loss),
            figure(metrics.normalised_entropy),
            figure(metrics.auc),
            figure(metrics.calibration),
            figure(metrics.calibration_error),
        ]
        for epoch, metrics in enumerate([start, *validation])
        if metrics
    ]
    note = "On the validation rows. The weights of the best epoch are kept."
    if start:
        note += " Epoch 0 is the base rate for all."
    return Table("After each epoch", note, head, rows)


def fields(spec: ModelSpec) -> list[Table]:
    """A table of the fields of the largest tables, and what part of all ids theirs are; none for numbers alone."""
    if not spec.fields:
        return []
    rows = sum(field.rows for field in spec.fields)
    largest = sorted(spec.fields, key=lambda field: field.rows, reverse=True)
    table = [
        [
            field.name,
            f"{field.kind}, {field.bag}" if field.bag else field.kind,
            count(field.rows),
            size(field.rows * spec.embedding_dim * FLOAT_BYTES),
            f"{field.rows / rows:.1%}",
        ]
        for field in largest[:FIELDS]
    ]
    if rest := largest[FIELDS:]:
        more = sum(field.rows for field in rest)
        weight = size(more * spec.embedding_dim * FLOAT_BYTES)
        table.append([f"{len(rest)} smaller ones", "", count(more), weight, f"{more / rows:.1%}"])
    head = ["field", "kind", "ids", "as a full table", "share of all ids"]
    return [Table("The largest fields", _load(spec), head, table)]


def bags(spec: ModelSpec, found: Mapping[str, BagFigures]) -> list[Table]:
    """A table of what rows have of bags; none where that is not known."""
    table = [
        [field.name, str(field.bag), count(of.rows), f"{of.mean:.1f}", f"{of.cut:.1%}"]
        for field in spec.fields
        if field.bag and (of := found.get(field.name))
    ]
    head = ["field", "what is read", "rows looked at", "values a row", "values cut"]
    return [Table("Several values a row", "By the first rows of the files.", head, table)] if table else []


def _load(spec: ModelSpec) -> str:
    embedding = spec.embedding
    if not isinstance(embedding, HashedEmbedding):
        return f"Full tables: {size(spec.embedding_bytes)}, one embedding of {spec.embedding_dim} floats an id."
    return (
        f"All ids share {size(spec.embedding_bytes)}. Full tables of {spec.embedding_dim} floats an id would take "
        f"{size(spec.full_table_bytes)}, {times(spec.compression)} as much."
    )


def _metrics(metrics: Metrics, grouped: bool) -> Iterator[str]:
    yield _with(metrics.log_loss, metrics.log_loss_interval)
    yield _with(metrics.normalised_entropy, metrics.normalised_entropy_interval)
    yield _with(metrics.auc, metrics.auc_interval)
    if grouped:
        yield _with(metrics.group_auc, metrics.group_auc_interval)
    yield _with(metrics.calibration, metrics.calibration_interval)
    yield figure(metrics.calibration_error)
    yield count(metrics.rows)


def _with(value: float | None, interval: Bounds | None) -> str:
    """A figure and its interval in a line below it."""
    return f"{figure(value)}\n{span(interval)}" if interval else figure(value)
