"""Writes the scores of click files into a file, one a row in their order, beside columns of theirs."""

import csv
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from secrets import token_hex
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from thimble.export.artifact.agreement import onnx_scores
from thimble.export.clicks.arrow_types import is_text, texts
from thimble.export.clicks.file_rows import FileRows
from thimble.export.scoring.evaluate import artifact_session
from thimble.export.scoring.output import OutputError, require_output
from thimble.models.conversions import shown
from thimble.models.heads import columns_of
from thimble.models.publishing import replaced

ROW_GROUP_TABLES = 64

Part = Sequence[Any]
"""Some rows of the output: the keys as `KeyedRows` has them, and Arrow arrays of scores, null for a bad row."""


class ScoreError(OutputError):
    """Scores that cannot be written as asked."""


def score_files(artifact: Path, source: FileRows, output: Path) -> int:
    """Write `output`, a .csv or .parquet file, and return its number of rows.

    It takes the place of another when it is whole; until then, and when anything goes wrong, there is what was there.
    OutputError: it cannot be written, or no row can be scored. ExportError and ClickError: something cannot be read.
    """
    write = _writer(artifact, source, output)
    scores = [(name, pa.float32()) for name in source.spec.outputs]
    schema = pa.schema([*zip(source.keys, source.key_types(), strict=True), *scores])
    session = artifact_session(artifact)
    rows = scored = 0

    def parts() -> Iterator[Part]:
        nonlocal rows, scored
        with tqdm(desc=output.name, unit=" rows", unit_scale=True, disable=None) as bar:
            for part in source.read():
                found = columns_of(onnx_scores(session, part.batch))
                yield [*part.keys, *(pa.array(column, mask=part.bad) for column in found)]
                rows += len(part.bad)
                scored += int((~part.bad).sum())
                bar.update(len(part.bad))

    target = Path(os.path.realpath(output))  # where a link leads to
    try:
        with replaced(target, target.with_name(f".partial-{token_hex(4)}")) as partial:
            write(partial, schema, parts())
            if rows and not scored:
                raise ScoreError(f"none of the {rows:,} rows can be scored; nothing was written")
    except OSError as error:
        raise ScoreError(f"{output}: {error.strerror or error}; nothing was written") from None
    except pa.ArrowException as error:
        raise ScoreError(f"{output}: {error}; nothing was written") from None
    return rows


def _writer(artifact: Path, source: FileRows, output: Path) -> Callable[[Path, pa.Schema, Iterable[Part]], None]:
    """What writes a file of that name. OutputError: nothing may be written there."""
    writers = {".csv": _write_csv, ".parquet": _write_parquet}
    require_output(output, "scores are", writers, [artifact, *source.files])
    columns = [*source.keys, *source.spec.outputs]
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise ScoreError(f"{output} would have two columns called {twice!r}")
    return writers[output.suffix.lower()]


class _LineFeeds:
    """Lines that end in a line feed alone, from a csv.writer that ends them in both characters.

    It has to: only then does it quote a carriage return in a value.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, line: str) -> None:
        self._file.write(line.removesuffix("\r\n") + "\n")


def _write_csv(path: Path, schema: pa.Schema, parts: Iterable[Part]) -> None:
    """Text as it was, also where it is not UTF-8."""
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.writer(_LineFeeds(file))
        writer.writerow(schema.names)
        for part in parts:
            writer.writerows(zip(*(_texts(column) for column in part), strict=True))


def _write_parquet(path: Path, schema: pa.Schema, parts: Iterable[Part]) -> None:
    batches = (pa.record_batch([*map(_array, part, schema.types)], schema=schema) for part in parts)
    with path.open("wb") as file, pq.ParquetWriter(file, schema) as writer:
        while group := list(islice(batches, ROW_GROUP_TABLES)):
            writer.write_table(pa.Table.from_batches(group))


def _texts(column: Any) -> Sequence[str | None]:
    """A column as CSV holds it. ArrowException: it does not."""
    written: Sequence[str | None] = column
    if isinstance(column, pa.Array):
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        written = texts(column) if is_text(column.type) else column.cast(pa.string()).to_pylist()
    return written


def _array(column: Any, kind: pa.DataType) -> pa.Array:
    """A column as Parquet holds it, text where files differ in its type. ScoreError: text that is not UTF-8."""
    if isinstance(column, pa.Array) and (column.type == kind or pa.types.is_null(column.type)):
        return column.cast(kind)
    try:
        return pa.array(_texts(column), kind)
    except UnicodeEncodeError as error:
        raise ScoreError(f"{shown(error.object)} is not UTF-8, which Parquet asks for; CSV takes it as it is") from None
