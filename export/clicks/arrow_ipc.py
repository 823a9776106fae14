"""Arrow's own files and streams, which Feather version 2 is too, their buffers packed or not."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.types as types

from thimble.export.clicks.formats import ARROW_FILE
from thimble.export.clicks.tables import TABLE_ROWS
from thimble.export.clicks.typed_file import TypedFile

_BYTES = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary(), pa.string_view(): pa.binary_view()}


class ArrowFile(TypedFile):
    """A record batch, of the columns that are wanted, is in memory at a time."""

    form = "Arrow"

    def schema(self) -> Any:
        with self._opened() as reader:
            return reader.schema

    def rows(self) -> int:
        with self._opened([0]) as reader:
            return sum(batch.num_rows for batch in _batches(reader))

    def batches(self, names: Collection[str]) -> Iterator[Any]:
        there = [place for place, name in enumerate(self.schema().names) if name in names]
        with self._opened(there) as reader:
            for batch in _batches(reader):
                for column in batch.columns:
                    _check(column)
                for start in range(0, len(batch), TABLE_ROWS):
                    yield batch.slice(start, TABLE_ROWS)

    @contextmanager
    def _opened(self, columns: Sequence[int] = ()) -> Iterator[Any]:
        """All columns if none is asked for. It is opened here, since Arrow opens no file whose name is not UTF-8."""
        options = pyarrow.ipc.IpcReadOptions(included_fields=list(columns))
        with self.path.open("rb") as raw:
            is_file = raw.read(len(ARROW_FILE)) == ARROW_FILE
            raw.seek(0)
            opened = pyarrow.ipc.open_file if is_file else pyarrow.ipc.open_stream
            with opened(raw, options=options) as reader:
                yield reader


def _batches(reader: Any) -> Iterator[Any]:
    if isinstance(reader, pyarrow.ipc.RecordBatchFileReader):
        return (reader.get_batch(place) for place in range(reader.num_record_batches))
    return iter(reader)


def _check(array: Any) -> None:
    """ArrowInvalid: it would have Arrow read beyond its memory. Text need not be UTF-8."""
    if types.is_dictionary(array.type):
        _check(array.dictionary)
        array = pa.DictionaryArray.from_arrays(array.indices, pa.nulls(len(array.dictionary)))
    if types.is_list(array.type) or types.is_large_list(array.type):
        array.validate()  # or it may have too few offsets
        _check(array.values)
        kind = pa.ListArray if types.is_list(array.type) else pa.LargeListArray
        array = kind.from_arrays(array.offsets, pa.nulls(len(array.values)))
    if array.type in _BYTES:
        array = array.view(_BYTES[array.type])
    array.validate(full=True)
