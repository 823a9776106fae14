"""Criteo's clicks in three NumPy files, as torchrec writes them."""

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from thimble.export.clicks.folders import FoundFile
from thimble.export.clicks.rows import ClickError
from thimble.export.clicks.tables import TABLE_ROWS, Columns
from thimble.export.clicks.typed_file import TypedFile

Array = npt.NDArray[Any]

_FLOAT, _INT, _LONG = np.dtype("<f4"), np.dtype("<i4"), np.dtype("<i8")


class NumpyClicks(TypedFile):
    """Rows of `_dense.npy`, `_sparse.npy` and `_labels.npy`, which are mapped into memory.

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
        return len(self._arrays()[0])

    def batches(self, names: Collection[str]) -> Iterator[Any]:
        dense, sparse, labels = self._arrays()
        for start in range(0, len(dense), TABLE_ROWS):
            rows = slice(start, start + TABLE_ROWS)
            columns = {self.label: labels[rows, 0], **dict(zip(self.numbers, dense[rows].T, strict=True))}
            columns |= zip(self.fields, self._ids(sparse[rows], start).T, strict=True)
            wanted = {name: pa.array(np.ascontiguousarray(it)) for name, it in columns.items() if name in names}
            yield pa.record_batch(list(wanted.values()), list(wanted))

    def _arrays(self) -> list[Array]:
        """The numbers, the ids and the labels."""
        wanted = (
            ((_FLOAT,), "float32", len(self.numbers)),
            ((_INT, _LONG), "int32 or int64", len(self.fields)),
            ((_INT,), "int32", 1),
        )
        arrays: list[Array] = []
        for path, (types, words, width) in zip(self.paths, wanted, strict=True):
            try:
                array = np.lib.format.open_memmap(path, mode="r")
            except (ValueError, EOFError) as error:
                raise ClickError(f"{path.name} is not readable as NumPy: {error}") from None
            if array.dtype not in types or array.shape[1:] != (width,):
                found = f"{array.dtype} {list(array.shape)}"
                raise ClickError(f"{path.name} holds {found}, where {words} [rows, {width}] is wanted")
            arrays.append(array)
        if len({len(array) for array in arrays}) > 1:
            rows = ", ".join(f"{path.name} {len(array):,}" for path, array in zip(self.paths, arrays, strict=True))
            raise ClickError(f"its parts have different numbers of rows: {rows}")
        return arrays

    def _ids(self, block: Array, start: int) -> Array:
        if block.dtype == _INT:
            return block
        rows = np.flatnonzero(((block < 0) | (block >= 1 << 32)).any(axis=1))
        if len(rows):
            raise ClickError(
                f"{self.name} row {start + rows[0] + 1}: an id of more than 32 bits, as none of Criteo's is"
            )
        return block.astype(np.uint32)
