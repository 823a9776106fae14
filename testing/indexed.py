"""Models with full tables of one row an id."""

from collections.abc import Sequence

import torch

from thimble.export.training.full_tables import set_keys, with_rows_for
from thimble.models.hashing import Int64s
from thimble.models.nn.indexed import IndexedTable
from thimble.models.nn.recommender import Recommender
from thimble.models.nn.registry import recommender
from thimble.models.spec import ModelSpec


def table_of(model: Recommender) -> IndexedTable:
    assert isinstance(model.sparse_arch, IndexedTable)
    return model.sparse_arch


def indexed_model(spec: ModelSpec, ids: Sequence[Int64s], seed: int = 0) -> tuple[ModelSpec, Recommender]:
    """An untrained model like this one, but with a row for each of these ids of each field."""
    spec, keys = with_rows_for(spec, ids)
    assert keys is not None
    torch.manual_seed(seed)
    model = recommender(spec).eval()
    set_keys(model, keys)
    return spec, model
