"""The labels of a model's answers, each from a column of its own."""

from collections.abc import Sequence

import numpy as np

from thimble.export.clicks.rows import ClickError
from thimble.export.clicks.tables import Table
from thimble.models.faults import Faults
from thimble.models.hashing import Floats
from thimble.models.heads import Heads, parents_of, together
from thimble.models.labels import LabelColumns, label_columns
from thimble.models.spec import ModelSpec


def checked_columns(spec: ModelSpec, label: LabelColumns) -> tuple[str, ...]:
    """The columns of a model's labels. ClickError: they are too few or too many, or one is something else as well."""
    columns = label_columns(label)
    if len(columns) != len(spec.outputs):
        answers = f"answers {' and '.join(spec.outputs)}" if spec.heads else "one answer"
        raise ClickError(f"{spec.name} has {answers}, so it takes as many labels, not {', '.join(columns)}")
    for column in columns:
        if column in spec.feature_names:
            raise ClickError(f"the label {column!r} is also a feature, so the model would be told what it is to guess")
        if columns.count(column) > 1:
            raise ClickError(f"the label {column!r} is named twice; each answer has one of its own")
    return columns


def read_labels(
    table: Table, columns: Sequence[str], places: Sequence[int], heads: Heads
) -> tuple[Floats, dict[str, Faults]]:
    """Labels of the fitting rows, [rows] or [rows, heads], and by column what is wrong with them.

    `places` says where the `columns` are in the table. Where a label is given another, a row that has it without the
    other is wrong: no model of such answers gives that a probability.
    """
    found = [table.labels(place) for place in places]
    faults = {}
    for column, (labels, wrong), parent in zip(columns, found, parents_of(heads) or (None,), strict=True):
        if parent is not None:
            wrong = _with_orphans(labels, wrong, found[parent][0], columns[parent])
        faults[column] = wrong
    return together([labels for labels, _ in found]), faults


def _with_orphans(labels: Floats, wrong: Faults, others: Floats, other: str) -> Faults:
    """What is wrong with labels, also where one is 1 and the other that it is given is 0."""
    alone = np.flatnonzero((labels > others) & ~np.isin(np.arange(len(labels)), wrong.rows))
    reason = f"1, and {other}, which it is given, is not"
    return Faults(np.union1d(wrong.rows, alone), lambda row: wrong.get(row, reason))
