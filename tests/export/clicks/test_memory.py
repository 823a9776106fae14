"""What is read of click files is let go again, and nothing is read only to be counted."""

import tracemalloc
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from testing.clicks import CLICK_SPEC, arrow_threads, lines, write_lines
from thimble.export.clicks import cache, formats, parquet
from thimble.export.clicks.cache import cached
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.filtered import filtered
from thimble.export.clicks.split import Part, Split
from thimble.export.clicks.tables import FilePiece, Table


class Held(FileClicks):
    """Knows how many of the tables that it has read are still held by somebody."""

    def __init__(self, path: Path) -> None:
        super().__init__([path], CLICK_SPEC)
        self.tables: list[weakref.ref[Table]] = []
        self.most = 0

    def _encode(self, found: FilePiece) -> Any:
        encoded = super()._encode(found)
        self.tables.append(weakref.ref(encoded.table))
        self.most = max(self.most, sum(it() is not None for it in self.tables))
        return encoded


def test_what_is_read_does_not_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "_BLOCK", 1 << 10)
    monkeypatch.setattr(formats, "_PIECE", 1 << 10)
    monkeypatch.setattr(cache, "SHARD_ROWS", 300)
    path = write_lines(tmp_path / "a", lines(3000))
    source, streamed = Held(path), Held(path)
    with arrow_threads(2):  # each has some tables of its own
        assert cached(source, tmp_path / "cache").count() == 3000
        assert len(source.tables) > 60 and source.most < 20
        part = filtered(streamed, Split(by="last", held_out_from=2990))[Part.TRAINING]
        found = 0
        for clicks in part.read(7, 2990, 100):
            assert clicks.raw is not None and clicks.raw()[0][0] == str(found + 7)  # golden rows are taken of these
            found += len(clicks.labels)
    assert found == 2983 and streamed.most < 25


def test_of_parquet_no_more_than_some_row_groups_are_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "RUN_ROWS", 8000)
    monkeypatch.setattr(parquet, "TABLE_ROWS", 1000)
    rows, path = 120_000, tmp_path / "a.parquet"
    random = np.random.default_rng(0).integers(1 << 60, size=(2, rows))
    columns = {"label": np.zeros(rows, np.int8), "d0": random[0].astype(float), "f0": random[1]}
    columns |= dict.fromkeys(("d1", "f1", "f2"), np.zeros(rows, np.int8))
    pq.write_table(pa.table(columns), path, row_group_size=2000)
    source = FileClicks(
        [path],
        CLICK_SPEC.model_copy(update={"fields": [f.model_copy(update={"kind": "int"}) for f in CLICK_SPEC.fields]}),
    )
    del columns, random
    before, read, in_arrow = pa.total_allocated_bytes(), 0, 0
    tracemalloc.start()
    try:
        with arrow_threads(1):
            for clicks in source.read(0, rows, 500):
                read += len(clicks.labels)
                in_arrow = max(in_arrow, pa.total_allocated_bytes() - before)
        _, in_python = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert read == rows
    assert in_python + in_arrow < path.stat().st_size / 2


def test_no_text_is_read_to_count_what_is_in_the_cache(tmp_path: Path) -> None:
    folder = tmp_path / "clicks"
    folder.mkdir()
    paths = [write_lines(folder / name, [*lines(rows - 1), "nonsense"]) for name, rows in (("1", 300), ("2", 200))]
    cached(FileClicks([folder], CLICK_SPEC), tmp_path / "cache")
    again = FileClicks([folder], CLICK_SPEC)
    assert cached(again, tmp_path / "cache").count() == 498
    for path in paths:
        path.unlink()
    assert again.counts() == (300, 200)
