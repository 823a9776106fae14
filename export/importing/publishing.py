"""An imported model as an artifact. Its tables go from the checkpoint into the file, a part at a time."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import onnx_ir
import torch

from thimble.export.artifact.external import LargeArray, write_arrays
from thimble.export.artifact.pipeline import Exported, publish
from thimble.export.artifact.untrained import with_tables_of_a_row
from thimble.export.clicks.golden import Features
from thimble.export.importing.described import ImportedModel
from thimble.export.importing.weights import READ_VALUES, Weight
from thimble.models.hashing import Floats, Int64s
from thimble.models.nn.embeddings import FullTables
from thimble.models.nn.indexed import IndexedTable
from thimble.models.nn.recommender import Recommender
from thimble.models.nn.registry import recommender
from thimble.models.schemes.full import FullEmbedding
from thimble.models.schemes.indexed import IndexedEmbedding

KEYS, TABLE = "sparse_arch.keys", "sparse_arch.table.weight"


def publish_imported(
    imported: ImportedModel,
    golden: Features,
    repository: Path,
    version: int | None = None,
    examine: Callable[[Path], None] = lambda _: None,
) -> Exported:
    """Write it as REPOSITORY/NAME/VERSION/model.onnx, unless `examine` raises something about the file.

    ExportError, CheckpointError: it cannot be written, or not be read as a whole.
    """
    spec = imported.spec
    large = isinstance(spec.embedding, FullEmbedding | IndexedEmbedding)
    dlrm = (with_tables_of_a_row if large else recommender)(spec).eval()
    weights = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in imported.layers.items()}
    own = {name for name, _ in dlrm.named_parameters() if not (large and name.startswith("sparse_arch."))}
    assert weights.keys() == own, f"{sorted(weights.keys() ^ own)}"
    dlrm.load_state_dict(weights, strict=False)
    store = partial(_store, imported, dlrm) if large else None
    return publish(spec, dlrm, golden, repository, version, store=store, examine=examine)


def _store(imported: ImportedModel, dlrm: Recommender, path: Path) -> dict[str, onnx_ir.ExternalTensor]:
    """Write an imported model's tables into a file and have the model read them from there."""
    spec, embedding = imported.spec, imported.spec.embedding
    arrays: Mapping[str, torch.Tensor]
    if isinstance(embedding, IndexedEmbedding):
        stored = write_arrays(path, _indexed(imported, embedding))
        arrays = {name: torch.from_numpy(it.array) for name, it in stored.items()}
        dlrm.sparse_arch = IndexedTable(spec, embedding, arrays[KEYS], arrays[TABLE])
    else:
        assert isinstance(embedding, FullEmbedding)
        stored = write_arrays(path, _tables(imported))
        dlrm.sparse_arch = FullTables(spec, embedding, [torch.from_numpy(it.array) for it in stored.values()])
    return {name: it.tensor for name, it in stored.items()}


def _tables(imported: ImportedModel) -> Iterator[LargeArray]:
    for field, table in enumerate(imported.tables):
        yield LargeArray(f"sparse_arch.tables.{field}.weight", table.shape, np.float32, table.parts())


def _indexed(imported: ImportedModel, embedding: IndexedEmbedding) -> Iterator[LargeArray]:
    assert imported.keys is not None
    keys = imported.keys
    yield LargeArray(KEYS, keys.shape, np.int64, [keys])
    yield LargeArray(TABLE, (embedding.rows, imported.spec.embedding_dim), np.float32, _indexed_rows(imported, keys))


def _indexed_rows(imported: ImportedModel, keys: Int64s) -> Iterator[Floats]:
    """The shared row of every field, then each key's own, in the order of the directory's places."""
    dim = imported.spec.embedding_dim
    assert isinstance(imported.spec.embedding, IndexedEmbedding)
    for table, (_, vocabulary) in zip(imported.tables, imported.vocabularies, strict=True):
        yield _row(table, vocabulary.unknown, dim)
    first = 0
    buckets = imported.spec.embedding.directory.buckets
    for table, (own, _), count in zip(imported.tables, imported.vocabularies, buckets, strict=True):
        places = keys[first : first + count].ravel()
        first += count
        for start in range(0, len(places), max(1, READ_VALUES // dim)):
            part = places[start : start + max(1, READ_VALUES // dim)]
            yield _rows(table, own.ids, own.rows, part, dim)


def _row(table: Weight, row: int | None, dim: int) -> Floats:
    return np.zeros((1, dim), np.float32) if row is None else table.rows(slice(row, row + 1))


def _rows(table: Weight, ids: Int64s, rows: Int64s, keys: Int64s, dim: int) -> Floats:
    """Of keys; a free place has zeros."""
    taken = keys >= 0
    found = np.zeros((len(keys), dim), np.float32)
    found[taken] = table.rows(rows[np.searchsorted(ids, keys[taken])])
    return found
