"""The files of a cache: columns of some thousand rows as uncompressed Arrow IPC, which is read where it lies."""

from pathlib import Path
from typing import Any

import numpy.typing as npt
import pyarrow as pa

from thimble.export.clicks.rows import Clicks
from thimble.models.publishing import replaced

ShardColumns = dict[str, npt.NDArray[Any]]
"""By name: `label`, `place`, `group` and `time` [rows], `dense` and `ids` [rows, width]. They cannot be written to."""


def write_shard(path: Path, clicks: Clicks) -> int:
    """The bytes that were written, in one step. OSError."""
    columns = {
        "label": clicks.labels,
        **clicks.batch._asdict(),
        "place": clicks.places,
        "group": clicks.groups,
        "time": clicks.times,
    }
    arrays = {name: _arrow(array) for name, array in columns.items() if array is not None}
    batch = pa.record_batch(list(arrays.values()), names=list(arrays))
    with replaced(path, path.with_name(f".{path.name}")) as partial:
        # a file of Python's own, whose errors say what the system said
        with partial.open("wb") as file, pa.ipc.new_file(file, batch.schema) as writer:
            writer.write_batch(batch)
        return partial.stat().st_size


def open_shard(path: Path) -> ShardColumns:
    """Its columns, mapped into memory, where they stay when the file is removed. OSError; ArrowException: damaged."""
    with pa.memory_map(str(path)) as file:
        table = pa.ipc.open_file(file).read_all()
    return {name: _numpy(table.column(name).chunk(0)) for name in table.column_names}


def _arrow(array: npt.NDArray[Any]) -> Any:
    """A row of a tensor lies together, so that one at random costs one place in memory and not one a column."""
    values = pa.array(array.ravel())
    if array.ndim == 1:
        return values
    rows, width = array.shape  # a model may have no numbers, and pyarrow's own constructors want a width above 0
    return pa.Array.from_buffers(pa.list_(values.type, width), rows, [None], children=[values])


def _numpy(array: Any) -> npt.NDArray[Any]:
    if not pa.types.is_fixed_size_list(array.type):
        return array.to_numpy()  # type: ignore[no-any-return]
    return array.values.to_numpy().reshape(len(array), array.type.list_size)  # type: ignore[no-any-return]
