"""Criteo's clicks in the binary form of MLPerf: rows of 32-bit integers, each after the other."""

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from thimble.export.clicks.folders import FoundFile
from thimble.export.clicks.rows import ClickError
from thimble.export.clicks.tables import TABLE_ROWS, Columns
from thimble.export.clicks.typed_file import TypedFile

_INTEGER = np.dtype("<i4")
_LOOKED_AT = 1024  # rows whose labels are looked at before the file is believed to be one


class CriteoBinaryFile(TypedFile):
    """Rows of a label, the numbers and the ids, little-endian, of which none is marked as missing.

    As `numpy_to_binary` in data_loader_terabyte.py of facebookresearch/dlrm writes them: with Criteo's features 40
    integers, 160 bytes a row.
    """

    named = False
    form = "binary clicks"

    def __init__(self, file: FoundFile, columns: Columns) -> None:
        super().__init__(file, columns)
        features = [feature.name for feature in columns.features]
        self.layout = [columns.label or ("" if "label" in features else "label"), *features]

    def check(self) -> None:
        super().check()
        row = _INTEGER.itemsize * len(self.layout)
        size = self.path.stat().st_size
        with self.path.open("rb") as file:
            labels = np.frombuffer(file.read(min(size // row, _LOOKED_AT) * row), _INTEGER)[:: len(self.layout)]
        if size % row or not np.isin(labels, (0, 1)).all():
            numbers = sum(feature.kind == "number" for feature in self.columns.features)
            wanted = f"a label, {numbers} numbers and {len(self.layout) - 1 - numbers} ids, 32 bits each"
            wrong = f"its {size:,} bytes are no whole rows" if size % row else "it has labels beside 0 and 1 as rows"
            raise ClickError(f"{self.name}: begins as binary clicks do, but {wrong} of {wanted}")

    def schema(self) -> Any:
        return pa.schema([(name, pa.int32()) for name in self.layout])

    def rows(self) -> int:
        return self.path.stat().st_size // (_INTEGER.itemsize * len(self.layout))

    def batches(self, names: Collection[str]) -> Iterator[Any]:
        wanted = [place for place, name in enumerate(self.layout) if name in names]
        row = _INTEGER.itemsize * len(self.layout)
        with self.path.open("rb") as file:
            while block := file.read(TABLE_ROWS * row):
                whole = block[: len(block) // row * row]
                columns = np.frombuffer(whole, _INTEGER).reshape(-1, len(self.layout)).T[wanted]
                yield pa.record_batch([pa.array(column) for column in columns], [self.layout[it] for it in wanted])
