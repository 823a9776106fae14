"""A checkpoint and what was said of its features, together a model: its spec, its layers, and embeddings to be read."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from thimble.export.importing import concatenated
from thimble.export.importing.assembled import Assembled
from thimble.export.importing.concatenated import Side
from thimble.export.importing.dlrm import dlrm
from thimble.export.importing.features import ImportedFeatures, Vocabulary
from thimble.export.importing.layers import vector
from thimble.export.importing.mapping import CheckpointMapping
from thimble.export.importing.matching import Found, Matched
from thimble.export.importing.robe import robe_embedding
from thimble.export.importing.tables import Tables, full_tables, with_first_order
from thimble.export.importing.weights import CheckpointError, Weight
from thimble.models.hashing import Floats
from thimble.models.inputs import Categorical
from thimble.models.schemes import Embedding
from thimble.models.schemes.none import NoEmbedding
from thimble.models.spec import ModelSpec

CONCATENATED = {
    "dcnv2": concatenated.dcnv2,
    "deepfm": concatenated.deepfm,
    "wide-deep": concatenated.wide_deep,
    "mlp": concatenated.mlp,
}


class ImportedModel(NamedTuple):
    """A model as a checkpoint has it.

    `layers` are its small weights by their names in the torch module, and so is the memory of a hashed one. Full tables
    are read when they are written.
    """

    spec: ModelSpec
    layers: dict[str, Floats]
    tables: Tables | None


class Asked(NamedTuple):
    """What was said beside the checkpoint: its features, in the file `path`, and the weights of a ROBE chunk.

    `columns` say which of the fields each table is for, where tables have another order.
    """

    features: ImportedFeatures
    path: Path
    chunk: int | None
    columns: Sequence[int] | None = None


def described(mapping: CheckpointMapping, found: Matched, asked: Asked, name: str, where: str) -> ImportedModel:
    """CheckpointError: it is not whole, of another kind, or something is missing that has to be said beside it."""
    _check_said(asked.features, asked.path)
    if mapping.scheme == "robe":
        return _robe(found, asked, name, where)
    tables, numbers, order = _by_feature(found, asked, where)
    features = asked.features
    if asked.columns is not None:
        if sorted(asked.columns) != list(range(len(features.fields))):
            raise CheckpointError(f"{where} has tables for columns {sorted(asked.columns)}, and not for all from 0 on")
        features = features.model_copy(update={"fields": tuple(features.fields[column] for column in asked.columns)})
    dim = _dim(tables) if tables else None
    if mapping.architecture == "dlrm":
        model = dlrm(found, len(tables), dim)
    else:
        wide = dim or (numbers[0].shape[0] if numbers else 1)
        vectors = np.stack([vector(number, wide) for number in numbers]) if numbers else None
        names = [field.name for field in features.fields]
        order = order or ([*features.dense, *names] if _numbers_first(found) else [*names, *features.dense])
        side = Side(features.dense, names, order, wide, vectors)
        model = CONCATENATED[mapping.architecture](found, side)
    for table in tables:
        _check_table(table, model.dim)
    _check_numbers(model, asked, where)
    first = _first_order(found, features, asked, where)
    if first:
        tables = [with_first_order(*both) for both in zip(tables, first, strict=True)]
    full = full_tables(tables, features, asked.path) if tables else None
    embedding: Embedding = full.embedding if full else NoEmbedding()
    lengths = [table.shape[0] for table in tables]
    spec = _spec(name, features, lengths, model.dim + bool(first), embedding, model)
    return ImportedModel(spec, model.weights, full)


def _robe(found: Matched, asked: Asked, name: str, where: str) -> ImportedModel:
    features = asked.features
    _check_count(len(found["random_numbers"]), asked, where)
    model = dlrm(found, len(features.fields), None)
    _check_numbers(model, asked, where)
    embedding = robe_embedding(found, features, str(asked.path), model.dim, asked.chunk)
    layers = model.weights | {"sparse_arch.memory": found["memory"][0].weight.read()}
    lengths = [field.table_rows or 1 for field in features.fields]
    return ImportedModel(_spec(name, features, lengths, model.dim, embedding, model), layers, None)


def _spec(
    name: str,
    features: ImportedFeatures,
    lengths: Sequence[int],
    dim: int,
    embedding: Embedding,
    model: Assembled,
) -> ModelSpec:
    fields = [
        Categorical(name=field.name, kind=field.kind or features.kind, rows=rows)
        for field, rows in zip(features.fields, lengths, strict=True)
    ]
    return ModelSpec(
        name=name,
        dense=list(features.dense),
        dense_transform=features.transform(),
        fields=fields,
        embedding_dim=dim,
        embedding=embedding,
        architecture=model.architecture,
    )


def _by_feature(found: Matched, asked: Asked, where: str) -> tuple[list[Weight], list[Weight], list[str]]:
    """The tables of the fields, the vectors of the numbers if they have some, and the file's order of the features.

    Where tables have numbers and no names, they are those of the fields in order, and there is no order.
    """
    features, given = asked.features, found["embeddings"]
    if not any(it.name for it in given):
        _check_count(len(given), asked, where)
        return [it.weight for it in given], [], []
    of_name = {it.name: it.weight for it in given}
    names, fields = list(of_name), [field.name for field in features.fields]
    if lacking := next((name for name in fields if name not in of_name), None):
        raise CheckpointError(f"{where} has no table of {lacking}; it has those of {', '.join(names)}")
    own = [name for name in names if name in features.dense]
    if unknown := next((name for name in names if name not in fields and name not in own), None):
        raise CheckpointError(f"{where} has a table of {unknown}, and {asked.path} names no such feature")
    if own and sorted(own) != sorted(features.dense):
        raise CheckpointError(f"{where} has vectors of {', '.join(own)}, and {asked.path} has other numbers")
    order = names if own else []
    numbers = [of_name[name] for name in features.dense] if own else []
    return [of_name[name] for name in fields], numbers, order


def _first_order(found: Matched, features: ImportedFeatures, asked: Asked, where: str) -> list[Weight | None]:
    """Of each field, None where it has no such weights, all of them 0 then. There is nothing where no field has."""
    given = found.get("first_order", [])
    names = [field.name for field in features.fields]
    if not any(it.name for it in given):
        if len(given) not in (0, len(names)):
            raise CheckpointError(f"{where} has first-order weights of {len(given)} fields, and tables of {len(names)}")
        return [it.weight for it in given]
    of_name = {it.name: it.weight for it in given}
    if unknown := next((name for name in of_name if name not in (*names, *features.dense)), None):
        raise CheckpointError(f"{where} has first-order weights of {unknown}, and {asked.path} names no such feature")
    return [of_name.get(name) for name in names]


def _numbers_first(found: Matched) -> bool:
    """Whether the first layer takes the numbers before the embeddings."""
    orders = (it.source.inputs for several in found.values() for it in several)
    return any(order is not None and order[0] == "numbers" for order in orders)


def missing_features(found: Matched, where: str) -> CheckpointError:
    """What to say where nothing was said of a checkpoint's features."""
    tables: Sequence[Found] = found.get("embeddings") or found["random_numbers"]
    names = f" ({', '.join(it.name for it in tables)})" if any(it.name for it in tables) else ""
    return CheckpointError(
        f"{where} has {len(tables)} tables{names}, and holds neither the names and kinds of its features nor what was "
        "done with their values: say so in a file, --features FILE.yaml (docs/import.md)"
    )


def _check_said(features: ImportedFeatures, path: Path) -> None:
    """CheckpointError: something is not said that no checkpoint holds."""
    if features.dense and features.numbers is None:
        raise CheckpointError(
            f"{path} does not say what was done with numbers before the model took them, and no checkpoint holds it; "
            "add numbers: none, log, log2, or means and deviations (docs/import.md)"
        )
    for field in features.fields:
        if features.ids_of(field) is None:
            raise CheckpointError(
                f"{path} does not say how values of {field.name} become rows of its table, and no checkpoint holds it; "
                "add ids: rows, mod, or a vocabulary (docs/import.md)"
            )
        if (field.kind or features.kind) == "string" and not isinstance(features.ids_of(field), Vocabulary):
            raise CheckpointError(f"{path}: text of {field.name} becomes a row by a vocabulary alone (docs/import.md)")


def _check_count(tables: int, asked: Asked, where: str) -> None:
    named = len(asked.features.fields)
    if named != tables:
        raise CheckpointError(f"{asked.path} names {named} fields, and {where} has {tables} tables")


def _check_numbers(model: Assembled, asked: Asked, where: str) -> None:
    named = len(asked.features.dense)
    if named != model.numbers:
        raise CheckpointError(f"{asked.path} names {named} numbers under dense, and {where} takes {model.numbers}")


def _dim(tables: Sequence[Weight]) -> int:
    """The width of the first table, and of the others if they are right."""
    if len(tables[0].shape) != 2:
        raise CheckpointError(f"{tables[0].origin} is {list(tables[0].shape)}, and no table with rows of weights")
    return tables[0].shape[1]


def _check_table(table: Weight, dim: int) -> None:
    if len(table.shape) != 2 or table.shape[1] != dim or 0 in table.shape:
        raise CheckpointError(f"{table.origin} is {list(table.shape)}, and no table with rows of {dim}, as others are")
