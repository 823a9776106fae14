"""Full tables for files, whose ids are any numbers: the opponent that a compressed model is compared with."""

from collections.abc import Sequence

import torch

from thimble.export.clicks.frequent_ids import LEAST, frequent_ids
from thimble.export.clicks.rows import Rows
from thimble.export.training.keyed import Keyed
from thimble.models.directory import fill
from thimble.models.hashing import Int64s
from thimble.models.nn.indexed import IndexedTable
from thimble.models.nn.recommender import Recommender
from thimble.models.schemes.indexed import IndexedEmbedding
from thimble.models.spec import ModelSpec


def indexed(spec: ModelSpec, rows: Rows, least: int = LEAST) -> Keyed:
    """The model with a row for each id that comes at least so often in the rows to train on, and one for missing ids.

    All other ids of a field have one row together. The rows are read once.
    """
    return with_rows_for(spec, frequent_ids(rows, spec.bags, least))


def with_rows_for(spec: ModelSpec, ids: Sequence[Int64s]) -> Keyed:
    """The model with a row for each of these ids of each field, and one for all others of the field."""
    directory, keys = fill(ids)
    fields = [
        field.model_copy(update={"rows": len(own) + 1})  # the others' row
        for field, own in zip(spec.fields, ids, strict=True)
    ]
    embedding = IndexedEmbedding(directory=directory)
    return Keyed(ModelSpec.model_validate(dict(spec) | {"fields": fields, "embedding": embedding}), keys)


def set_keys(model: Recommender, keys: Int64s) -> None:
    """Have an untrained model of such a spec know whose its rows are.

    Those of missing ids begin at 0, as shared ones do: where training misses none, they say nothing.
    """
    assert isinstance(model.sparse_arch, IndexedTable)
    sparse = model.sparse_arch
    sparse.keys.copy_(torch.from_numpy(keys))
    with torch.no_grad():
        sparse.table.weight[sparse.row_numbers(sparse.keys.new_zeros(1, len(sparse.shared)))] = 0
