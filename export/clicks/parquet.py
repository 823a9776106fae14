"""Parquet."""

from collections.abc import Collection, Iterator
from typing import Any

import pyarrow.parquet

from thimble.export.clicks.tables import TABLE_ROWS
from thimble.export.clicks.typed_file import TypedFile


class ParquetFile(TypedFile):
    """It is opened here, since Arrow opens no file whose name is not UTF-8."""

    form = "Parquet"

    def schema(self) -> Any:
        with self.path.open("rb") as raw, pyarrow.parquet.ParquetFile(raw) as file:
            return file.schema_arrow

    def rows(self) -> int:
        with self.path.open("rb") as raw, pyarrow.parquet.ParquetFile(raw) as file:
            return int(file.metadata.num_rows)

    def batches(self, names: Collection[str]) -> Iterator[Any]:
        with self.path.open("rb") as raw, pyarrow.parquet.ParquetFile(raw) as file:
            there = sorted({*names}.intersection(file.schema_arrow.names))
            yield from file.iter_batches(batch_size=TABLE_ROWS, columns=there)
