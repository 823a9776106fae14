"""Criteo's clicks in three NumPy files, as torchrec writes them."""

from collections.abc import Collection, Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from thimble.export.clicks.folders import FoundFile
from thimble.export.clicks.numpy_array import StoredArray
from thimble.export.clicks.rows import ClickError
from thimble.export.clicks.tables import TABLE_ROWS, Columns, Table
from thimble.export.clicks.typed_file import TypedFile

_FLOAT, _INT, _LONG = np.dtype("<f4"), np.dtype("<i4"), np.dtype("<i8")
_WIDE = "an id of more than 32 bits, as none of Criteo's is"


class NumpyClicks(TypedFile):
    """Rows of `_dense.npy`, `_sparse.npy` and `_labels.npy`.

    As `BinaryCriteoUtils.tsv_to_npys` in torchrec.datasets.criteo writes them: float32 [rows, numbers], of which it has
    taken logarithms, int64 [rows, fields], or int32 as its documentation says, and int32 [rows, 1]. Missing numbers
    and ids have become zeros before.
    """

    named = False
    form = "NumPy"

    def __init__(self, file: FoundFile, columns: Columns) -> None:
        super().__init__(file, columns)
        self.paths = file.paths
        features = [feature.name for feature in columns.features]
        self.numbers = [feature.name for feature in columns.features if feature.kind == "number"]
        self.fields = [feature.name for feature in columns.features if feature.kind != "number"]
        self.label = columns.label or ("" if "label" in features else "label")

    def schema(self) -> Any:
        """ClickError: the files are no such arrays, or not of the same rows."""
        _, sparse, _ = self._arrays()
        id_type = pa.int32() if sparse.dtype == _INT else pa.uint32()
        fields = [(self.label, pa.int32()), *((name, pa.float32()) for name in self.numbers)]
        return pa.schema([*fields, *((name, id_type) for name in self.fields)])

    def rows(self) -> int:
        return self._arrays()[0].shape[0]

    def batches(self, names: Collection[str]) -> Iterator[Any]:
        """Ids of int64 as they stand."""
        arrays = self._arrays()
        rows = arrays[0].shape[0]
        layout = [*self.numbers, *self.fields, self.label]
        with ExitStack() as opened:
            files = [opened.enter_context(path.open("rb")) for path in self.paths]
            for start in range(0, rows, TABLE_ROWS):
                stop = min(start + TABLE_ROWS, rows)
                found = [array.columns(file, start, stop) for array, file in zip(arrays, files, strict=True)]
                columns = zip(layout, (column for block in found for column in block), strict=True)
                wanted = {name: pa.array(column) for name, column in columns if name in names}
                yield pa.record_batch(list(wanted.values()), list(wanted))

    def _table(self, first: int, block: Any) -> Table:
        """Ids of int64 become those of 32 bits. Rows in which one does not are bad."""
        columns = dict(zip(block.schema.names, block.columns, strict=True))
        ids = {name: column.to_numpy() for name, column in columns.items() if column.type == pa.int64()}
        wide = np.zeros(len(block), np.bool_)
        for column in ids.values():
            wide |= (column < 0) | (column >= 1 << 32)
        columns |= {name: pa.array(column.astype(np.uint32)) for name, column in ids.items()}
        narrow = pa.record_batch(list(columns.values()), list(columns))
        if not wide.any():
            return super()._table(first, narrow)
        good = super()._table(first, narrow.filter(pa.array(~wide)))
        misfits = dict.fromkeys(np.flatnonzero(wide).tolist(), _WIDE)
        return Table(np.arange(first, first + len(block)), good.columns, True, np.flatnonzero(~wide), misfits)

    def _arrays(self) -> list[StoredArray]:
        """The numbers, the ids and the labels."""
        wanted: tuple[tuple[tuple[npt.DTypeLike, ...], str, int], ...] = (
            ((_FLOAT,), "float32", len(self.numbers)),
            ((_INT, _LONG), "int32 or int64", len(self.fields)),
            ((_INT,), "int32", 1),
        )
        arrays = [StoredArray.find(path, *what) for path, what in zip(self.paths, wanted, strict=True)]
        if len({array.shape[0] for array in arrays}) > 1:
            rows = ", ".join(f"{path.name} {it.shape[0]:,}" for path, it in zip(self.paths, arrays, strict=True))
            raise ClickError(f"its parts have different numbers of rows: {rows}")
        return arrays
