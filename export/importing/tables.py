"""Full tables out of a checkpoint, and which rows of them values have."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from thimble.export.importing.features import ImportedFeatures, ImportedField, Vocabulary
from thimble.export.importing.vocabulary import RowsOfIds, read_vocabulary
from thimble.export.importing.weights import CheckpointError, Weight
from thimble.models.directory import fill
from thimble.models.hashing import Int64s
from thimble.models.schemes.full import FullEmbedding
from thimble.models.schemes.indexed import IndexedEmbedding


class Tables(NamedTuple):
    """Tables [rows, dim], to be read when they are written.

    Where ids have rows by `vocabularies`, `keys` are those of the directory.
    """

    embedding: FullEmbedding | IndexedEmbedding
    tables: Sequence[Weight]
    vocabularies: Sequence[tuple[RowsOfIds, Vocabulary]] = ()
    keys: Int64s | None = None


def full_tables(tables: Sequence[Weight], features: ImportedFeatures, said: Path) -> Tables:
    """The embedding of tables of so many fields, of which a file has `said` how values become rows.

    CheckpointError: it said something that cannot be.
    """
    for field, table in zip(features.fields, tables, strict=True):
        if field.table_rows not in (None, table.shape[0]):
            raise CheckpointError(
                f"{said}: {field.name} has table_rows {field.table_rows}, its table has {table.shape[0]}"
            )
    if not any(isinstance(features.ids_of(field), Vocabulary) for field in features.fields):
        return Tables(FullEmbedding(table_rows=[table.shape[0] for table in tables]), tables)
    vocabularies = [
        _vocabulary(said, field, features, table.shape[0]) for field, table in zip(features.fields, tables, strict=True)
    ]
    directory, keys = fill([own.ids for own, _ in vocabularies])
    return Tables(IndexedEmbedding(directory=directory), tables, vocabularies, keys)


def with_first_order(table: Weight, first: Weight | None) -> Weight:
    """A table whose rows end with their first-order weight, 0 if there is none.

    CheckpointError: it has another number of rows.
    """
    if first is None:
        first = Weight((table.shape[0], 1), table.origin, lambda which: np.zeros((len(table.stored(which)), 1), "f4"))
    if first.shape != (table.shape[0], 1):
        raise CheckpointError(f"{first.origin} is {list(first.shape)}, for a table of {table.shape[0]} rows")
    return Weight(
        (table.shape[0], table.shape[1] + 1),
        table.origin,
        lambda which: np.concatenate([table.stored(which), first.stored(which)], axis=1),
    )


def _vocabulary(
    said: Path, field: ImportedField, features: ImportedFeatures, rows: int
) -> tuple[RowsOfIds, Vocabulary]:
    """The rows of a field's ids, that of a missing one, 0, among them where it is known."""
    ids = features.ids_of(field)
    if ids == "mod":
        raise CheckpointError(f"{said}: {field.name} has ids: mod beside fields with vocabularies; give it one too")
    if not isinstance(ids, Vocabulary):
        every = np.arange(rows)
        return RowsOfIds(every, every), Vocabulary(vocabulary="")
    for what, row in (("missing", ids.missing), ("unknown", ids.unknown)):
        if row is not None and row >= rows:
            raise CheckpointError(f"{said}: {what} values of {field.name} have row {row}, and its table has {rows}")
    own = read_vocabulary(said.parent / ids.vocabulary, field.name, field.kind or features.kind, rows)
    if ids.missing is not None:
        known = own.ids != 0
        own = RowsOfIds(np.append(0, own.ids[known]), np.append(ids.missing, own.rows[known]))
    return own, ids
