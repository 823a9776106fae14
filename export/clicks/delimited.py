"""Lines of separated values as columns of bytes."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv

from thimble.models.hashing import Int64s

_BOM = b"\xef\xbb\xbf"


class Split(NamedTuple):
    """The columns that are wanted of the rows that have the right number of them.

    `fitting` are these rows, and `widths` says by row how many columns the others have.
    """

    columns: list[Any]
    fitting: Int64s
    widths: dict[int, int]


def split_lines(lines: bytes, separator: str, width: int, wanted: Sequence[int], *, quoted: bool) -> Split:
    """Every line is a row: none is empty, none holds a carriage return, and there are two columns at least.

    Rows of another number of columns are UTF-8, for Arrow shows them as text. If values may be `quoted`, all quotes are
    where they belong.
    """
    count = lines.count(b"\n") + (not lines.endswith(b"\n"))
    if not lines:
        return split_rows([], width, wanted)
    if lines.startswith(_BOM):
        lines = _BOM + lines  # Arrow takes one away
    widths: dict[int, int] = {}

    def skip(row: Any) -> str:
        widths[row.number - 1] = row.actual_columns
        return "skip"

    names = [str(column) for column in range(width)]
    table = pyarrow.csv.read_csv(
        pa.BufferReader(lines),
        pyarrow.csv.ReadOptions(use_threads=False, column_names=names, block_size=len(lines) + 1),
        pyarrow.csv.ParseOptions(
            delimiter=separator,
            quote_char='"' if quoted else False,
            double_quote=quoted,
            ignore_empty_lines=False,
            invalid_row_handler=skip,
        ),
        pyarrow.csv.ConvertOptions(
            check_utf8=False,
            column_types=dict.fromkeys(names, pa.binary()),
            include_columns=[names[column] for column in sorted({*wanted})],
            strings_can_be_null=False,
        ),
    )
    columns = [_array(table.column(names[column])) for column in wanted]
    return Split(columns, _without(count, widths), widths)


def split_rows(rows: Sequence[Sequence[bytes]], width: int, wanted: Sequence[int]) -> Split:
    """Rows that are split already."""
    widths = {i: len(row) for i, row in enumerate(rows) if len(row) != width}
    fitting = [row for row in rows if len(row) == width] if widths else rows
    columns = [pa.array([row[column] for row in fitting], pa.binary()) for column in wanted]
    return Split(columns, _without(len(rows), widths), widths)


def _array(column: Any) -> Any:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()  # which copies


def _without(rows: int, left_out: dict[int, int]) -> Int64s:
    return np.delete(np.arange(rows), list(left_out)) if left_out else np.arange(rows)
