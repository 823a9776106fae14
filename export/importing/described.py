"""A checkpoint and what was said of its features, together a model: its spec, its layers, and embeddings to be read."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from thimble.export.importing.dlrm import DlrmLayers, Layer, dense_layers, over_layers
from thimble.export.importing.features import ImportedFeatures, ImportedField, Vocabulary
from thimble.export.importing.mapping import CheckpointMapping, match
from thimble.export.importing.robe import robe_embedding
from thimble.export.importing.vocabulary import RowsOfIds, read_vocabulary
from thimble.export.importing.weights import CheckpointError, Weight
from thimble.models.directory import fill
from thimble.models.hashing import Floats, Int64s
from thimble.models.inputs import Categorical
from thimble.models.schemes import Embedding
from thimble.models.schemes.full import FullEmbedding
from thimble.models.schemes.indexed import IndexedEmbedding
from thimble.models.schemes.none import NoEmbedding
from thimble.models.spec import ModelSpec


class ImportedModel(NamedTuple):
    """A model as a checkpoint has it.

    `layers` are its small weights by their names in the torch module, and so is the memory of a hashed one. `tables`
    are read when they are written. Where ids have rows by `vocabularies`, `keys` are the directory's.
    """

    spec: ModelSpec
    layers: dict[str, Floats]
    tables: Sequence[Weight] = ()
    vocabularies: Sequence[tuple[RowsOfIds, Vocabulary]] = ()
    keys: Int64s | None = None


class Asked(NamedTuple):
    """What was said beside the checkpoint: its features, in which file, and the weights of a ROBE chunk.

    `columns` say which of the fields each table is for, where tables have another order.
    """

    features: ImportedFeatures | None
    path: Path | None
    chunk: int | None
    columns: Sequence[int] | None = None


def described(
    mapping: CheckpointMapping, tensors: Mapping[str, Weight], asked: Asked, name: str, where: str
) -> ImportedModel:
    """CheckpointError: it is not whole, of another kind, or something is missing that has to be said beside it."""
    found = match(mapping, tensors, where)
    tables = [table.weight for table in found.get("embeddings", found.get("random_numbers", []))]
    dense = dense_layers(found)
    features = _features(asked, tables, dense[0], where)
    dim = dense[-1].weight.shape[0]
    layers = DlrmLayers(dense, over_layers(found, len(tables), dim))
    parts = dict(layers.weights())
    rest: dict[str, object] = {}
    if mapping.scheme == "robe":
        embedding: Embedding = robe_embedding(found, features, str(asked.path), asked.chunk)
        parts["sparse_arch.memory"] = found["memory"][0].weight.read()
        lengths = [field.table_rows or 1 for field in features.fields]
    else:
        lengths = [_length(table, dim) for table in tables]
        embedding, rest = _full(features, asked, tables, lengths)
    spec = ModelSpec(
        name=name,
        dense=list(features.dense),
        dense_transform=features.transform(),
        fields=[
            Categorical(name=field.name, kind=field.kind or features.kind, rows=rows)
            for field, rows in zip(features.fields, lengths, strict=True)
        ],
        embedding_dim=dim,
        embedding=embedding,
        architecture=layers.architecture,
    )
    return ImportedModel(spec, parts, **rest)  # type: ignore[arg-type]


def _features(asked: Asked, tables: Sequence[Weight], first: Layer, where: str) -> ImportedFeatures:
    """CheckpointError: nothing is said, or not enough, or of another model."""
    inputs = first.weight.shape[1]
    holds = f"{inputs} numbers ({first.origin} is {list(first.weight.shape)}) and {len(tables)} fields"
    if asked.features is None:
        raise CheckpointError(
            f"{where} is of {holds}, and holds neither their names nor what was done with their values: say so in a "
            "file, --features FILE.yaml (docs/import.md)"
        )
    features = asked.features
    if (len(features.dense), len(features.fields)) != (inputs, len(tables)):
        raise CheckpointError(
            f"{asked.path} names {len(features.dense)} numbers under dense and {len(features.fields)} fields, and "
            f"{where} is of {holds}"
        )
    if features.dense and features.numbers is None:
        raise CheckpointError(
            f"{asked.path} does not say what was done with numbers before the model took them, and no checkpoint holds "
            "it; add numbers: none, log, log2, or means and deviations (docs/import.md)"
        )
    for field in features.fields:
        if features.ids_of(field) is None:
            raise CheckpointError(
                f"{asked.path} does not say how values of {field.name} become rows of its table, and no checkpoint "
                "holds it; add ids: rows, mod, or a vocabulary (docs/import.md)"
            )
        if (field.kind or features.kind) == "string" and not isinstance(features.ids_of(field), Vocabulary):
            raise CheckpointError(
                f"{asked.path}: text of {field.name} becomes a row by a vocabulary alone (docs/import.md)"
            )
    if asked.columns is None:
        return features
    if sorted(asked.columns) != list(range(len(tables))):
        raise CheckpointError(f"{where} has tables for columns {sorted(asked.columns)}, and not for all from 0 on")
    return features.model_copy(update={"fields": tuple(features.fields[column] for column in asked.columns)})


def _length(table: Weight, dim: int) -> int:
    if len(table.shape) != 2 or table.shape[1] != dim or not table.shape[0]:
        raise CheckpointError(
            f"{table.origin} is {list(table.shape)}, and no table with rows of {dim}, the dense vector's width"
        )
    return table.shape[0]


def _full(
    features: ImportedFeatures, asked: Asked, tables: Sequence[Weight], lengths: Sequence[int]
) -> tuple[Embedding, dict[str, object]]:
    if not tables:
        return NoEmbedding(), {}
    for field, rows in zip(features.fields, lengths, strict=True):
        if field.table_rows not in (None, rows):
            raise CheckpointError(f"{asked.path}: {field.name} has table_rows {field.table_rows}, its table has {rows}")
    said = [features.ids_of(field) for field in features.fields]
    if not any(isinstance(ids, Vocabulary) for ids in said):
        return FullEmbedding(table_rows=list(lengths)), {"tables": tables}
    assert asked.path
    vocabularies = [
        _vocabulary(asked.path, field, features, rows) for field, rows in zip(features.fields, lengths, strict=True)
    ]
    directory, keys = fill([own.ids for own, _ in vocabularies])
    return IndexedEmbedding(directory=directory), {"tables": tables, "vocabularies": vocabularies, "keys": keys}


def _vocabulary(
    path: Path, field: ImportedField, features: ImportedFeatures, rows: int
) -> tuple[RowsOfIds, Vocabulary]:
    """The rows of a field's ids, that of a missing one, 0, among them where it is known."""
    ids = features.ids_of(field)
    if ids == "mod":
        raise CheckpointError(f"{path}: {field.name} has ids: mod beside fields with vocabularies; give it one too")
    if not isinstance(ids, Vocabulary):
        every = np.arange(rows)
        return RowsOfIds(every, every), Vocabulary(vocabulary="")
    for what, row in (("missing", ids.missing), ("unknown", ids.unknown)):
        if row is not None and row >= rows:
            raise CheckpointError(f"{path}: {what} values of {field.name} have row {row}, and its table has {rows}")
    own = read_vocabulary(path.parent / ids.vocabulary, field.name, field.kind or features.kind, rows)
    if ids.missing is not None:
        known = own.ids != 0
        own = RowsOfIds(np.append(0, own.ids[known]), np.append(ids.missing, own.rows[known]))
    return own, ids
