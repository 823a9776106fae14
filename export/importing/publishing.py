"""An imported model as an artifact. Its tables go from the checkpoint into the file, a part at a time."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import onnx_ir
import torch

from thimble.export.artifact.external import LargeArray, write_arrays
from thimble.export.artifact.pipeline import Exported, publish
from thimble.export.artifact.untrained import with_tables_of_a_row
from thimble.export.importing.described import ImportedModel
from thimble.export.importing.tables import Tables
from thimble.export.importing.weights import READ_VALUES, Weight
from thimble.models.hashing import Floats, Int64s
from thimble.models.nn.embeddings import FullTables
from thimble.models.nn.indexed import IndexedTable
from thimble.models.nn.recommender import Recommender
from thimble.models.nn.registry import recommender
from thimble.models.schemes.indexed import IndexedEmbedding
from thimble.models.spec import GoldenFeatures

KEYS, TABLE = "sparse_arch.keys", "sparse_arch.table.weight"


def publish_imported(
    imported: ImportedModel,
    golden: GoldenFeatures,
    repository: Path,
    version: int | None = None,
    examine: Callable[[Path], None] = lambda _: None,
) -> Exported:
    """Write it as REPOSITORY/NAME/VERSION/model.onnx, unless `examine` raises something about the file.

    ExportError, CheckpointError: it cannot be written, or not be read as a whole.
    """
    spec = imported.spec
    large = imported.tables is not None
    dlrm = (with_tables_of_a_row if large else recommender)(spec).eval()
    weights = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in imported.layers.items()}
    own = {name for name, _ in dlrm.named_parameters() if not (large and name.startswith("sparse_arch."))}
    assert weights.keys() == own, f"{sorted(weights.keys() ^ own)}"
    dlrm.load_state_dict(weights, strict=False)
    store = partial(_store, imported, dlrm) if large else None
    return publish(spec, dlrm, golden, repository, version, store=store, examine=examine)


def _store(imported: ImportedModel, dlrm: Recommender, path: Path) -> dict[str, onnx_ir.ExternalTensor]:
    """Write an imported model's tables into a file and have the model read them from there."""
    spec, tables = imported.spec, imported.tables
    assert tables
    embedding = tables.embedding
    if isinstance(embedding, IndexedEmbedding):
        stored = write_arrays(path, _indexed(tables, embedding, spec.embedding_dim))
        arrays = {name: torch.from_numpy(it.array) for name, it in stored.items()}
        dlrm.sparse_arch = IndexedTable(spec, embedding, arrays[KEYS], arrays[TABLE])
    else:
        stored = write_arrays(path, _plain(tables))
        dlrm.sparse_arch = FullTables(spec, embedding, [torch.from_numpy(it.array) for it in stored.values()])
    return {name: it.tensor for name, it in stored.items()}


def _plain(tables: Tables) -> Iterator[LargeArray]:
    for field, table in enumerate(tables.tables):
        yield LargeArray(f"sparse_arch.tables.{field}.weight", table.shape, np.float32, table.parts())


def _indexed(tables: Tables, embedding: IndexedEmbedding, dim: int) -> Iterator[LargeArray]:
    assert tables.keys is not None
    yield LargeArray(KEYS, tables.keys.shape, np.int64, [tables.keys])
    rows = _indexed_rows(tables, tables.keys, embedding.directory.buckets, dim)
    yield LargeArray(TABLE, (embedding.rows, dim), np.float32, rows)


def _indexed_rows(tables: Tables, keys: Int64s, buckets: Sequence[int], dim: int) -> Iterator[Floats]:
    """The shared row of every field, then each key's own, in the order of the directory's places."""
    for table, (_, vocabulary) in zip(tables.tables, tables.vocabularies, strict=True):
        yield _row(table, vocabulary.unknown, dim)
    first, step = 0, max(1, READ_VALUES // dim)
    for table, (own, _), count in zip(tables.tables, tables.vocabularies, buckets, strict=True):
        places = keys[first : first + count].ravel()
        first += count
        for start in range(0, len(places), step):
            yield _rows(table, own.ids, own.rows, places[start : start + step], dim)


def _row(table: Weight, row: int | None, dim: int) -> Floats:
    return np.zeros((1, dim), np.float32) if row is None else table.rows(slice(row, row + 1))


def _rows(table: Weight, ids: Int64s, rows: Int64s, keys: Int64s, dim: int) -> Floats:
    """Of keys; a free place has zeros."""
    taken = keys >= 0
    found = np.zeros((len(keys), dim), np.float32)
    found[taken] = table.rows(rows[np.searchsorted(ids, keys[taken])])
    return found
