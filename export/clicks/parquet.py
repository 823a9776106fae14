"""Parquet."""

from collections.abc import Collection, Iterator
from typing import Any

import pyarrow.parquet

from thimble.export.clicks.tables import TABLE_ROWS
from thimble.export.clicks.typed_file import TypedFile

RUN_ROWS = 1 << 17


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
            for groups in _runs(file.metadata):
                yield from file.iter_batches(batch_size=TABLE_ROWS, row_groups=groups, columns=there)


def _runs(metadata: Any) -> Iterator[list[int]]:
    """Neighbouring row groups that have RUN_ROWS together.

    Arrow keeps what it has read of a file until the last of the row groups that it was asked for is read.
    """
    run: list[int] = []
    rows = 0
    for group in range(metadata.num_row_groups):
        run.append(group)
        rows += metadata.row_group(group).num_rows
        if rows >= RUN_ROWS:
            yield run
            run, rows = [], 0
    if run:
        yield run
