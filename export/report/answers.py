"""What a page says of each answer of a model, which has a name where there are several."""

from collections.abc import Mapping, Sequence

from thimble.export.report import tables
from thimble.export.report.page import Headline, headlines
from thimble.export.report.tables import Table
from thimble.models.spec import Metrics, ModelSpec


def headlines_of(spec: ModelSpec, metrics: Metrics) -> list[Headline]:
    """The figures to look at first, those of the first answer before all others."""
    return [
        headline._replace(title=f"{_called(spec, answer)}{headline.title}")
        for answer, of_answer in enumerate(metrics.by_head)
        for headline in headlines(of_answer)
    ]


def compared(spec: ModelSpec, models: Mapping[str, Metrics], note: str) -> list[Table]:
    """A table an answer: metrics of models by name, beside the constant that the first of them has to beat.

    Answers are compared in their order. A model that has fewer is left out of the rest.
    """
    found = []
    for answer in range(len(spec.outputs)):
        having = {name: of.by_head[answer] for name, of in models.items() if answer < len(of.by_head)}
        found.append(_titled(spec, answer, tables.compared(having, note)))
    return found


def epochs(spec: ModelSpec, validation: Sequence[Metrics], best: int, start: Metrics | None) -> list[Table]:
    """A table an answer: metrics of validation rows after each epoch, of which one is the best."""
    return [
        _titled(
            spec,
            answer,
            tables.epochs([of.by_head[answer] for of in validation], best, start.by_head[answer] if start else None),
        )
        for answer in range(len(spec.outputs))
    ]


def _titled(spec: ModelSpec, answer: int, table: Table) -> Table:
    return table._replace(title=f"{_called(spec, answer)}{table.title}")


def _called(spec: ModelSpec, answer: int) -> str:
    return f"{spec.outputs[answer]}: " if spec.heads else ""
