"""Several threads read what one reads: the same rows in the same order, and the same of what is wrong with others."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from testing.clicks import CLICK_SPEC, arrow_threads, lines, write_lines
from testing.conditions import until
from thimble.export.clicks import arrow_ipc, cache, csv_files, formats, parquet
from thimble.export.clicks.cache import cached
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.rows import ClickError
from thimble.export.clicks.tables import FilePiece

NAMES = ["label", *CLICK_SPEC.feature_names]
ROWS = 4000
BAD = range(7, ROWS, 50)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "_BLOCK", 1 << 12)
    monkeypatch.setattr(formats, "_PIECE", 1 << 12)
    monkeypatch.setattr(csv_files, "_SPANNING_ROWS", 100)
    monkeypatch.setattr(parquet, "TABLE_ROWS", 100)
    monkeypatch.setattr(arrow_ipc, "TABLE_ROWS", 100)
    monkeypatch.setattr(cache, "SHARD_ROWS", 700)


def rows(bad: bool = True) -> list[list[str]]:
    found = [line.split("\t") for line in lines(ROWS)]
    for i in BAD if bad else ():
        found[i][1 + i % 4] = f"x{i} is bad"
    return found


def typed() -> pa.Table:
    return pa.table([pa.array(column) for column in zip(*rows(), strict=True)], NAMES)


def as_lines(folder: Path) -> None:
    write_lines(folder / "a", ["\t".join(row) for row in rows()])


def as_gzip(folder: Path) -> None:
    write_lines(folder / "a.gz", ["\t".join(row) for row in rows()])


def as_csv(folder: Path) -> None:
    write_lines(folder / "a.csv", [",".join(NAMES), *map(",".join, rows())])


def as_parquet(folder: Path) -> None:
    pq.write_table(typed(), folder / "a.parquet", row_group_size=900)


def as_arrow(folder: Path) -> None:
    feather.write_feather(typed(), str(folder / "a.arrow"), chunksize=900)


def as_many_files(folder: Path) -> None:
    every = rows()
    for number in range(40):
        some = every[100 * number : 100 * (number + 1)] if number % 7 else []
        write_lines(folder / f"{number}.csv", [",".join(NAMES), *map(",".join, some)])


FORMS = [as_lines, as_gzip, as_csv, as_parquet, as_arrow, as_many_files]
Write = Callable[[Path], None]


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.glob("*.arrow")}


@pytest.mark.parametrize("write", FORMS)
def test_a_cache_is_the_same_bit_for_bit(tmp_path: Path, write: Write) -> None:
    (tmp_path / "clicks").mkdir()
    write(tmp_path / "clicks")
    found: list[Any] = []
    for threads in (1, 2, 5):
        source = FileClicks([tmp_path / "clicks"], CLICK_SPEC)
        with arrow_threads(threads):
            shards = contents(cached(source, tmp_path / f"cache-{threads}").folder)
        assert len(shards) > 3 and source.bad.count > 50
        found.append((shards, source.bad.first, source.bad.seen, source.counts()))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("write", FORMS)
def test_the_first_bad_row_is_the_first(tmp_path: Path, write: Write) -> None:
    (tmp_path / "clicks").mkdir()
    write(tmp_path / "clicks")
    said = set()
    for threads in (1, 4):
        with arrow_threads(threads), pytest.raises(ClickError) as refused:
            cached(FileClicks([tmp_path / "clicks"], CLICK_SPEC, strict=True), tmp_path / f"cache-{threads}")
        said.add(str(refused.value))
    (sentence,) = said
    assert "is bad" in sentence and ("x7 is" in sentence or write is as_many_files)


def test_rows_before_the_damage_are_kept(tmp_path: Path) -> None:
    """What is found to be wrong ahead of the rows that are read comes after them."""
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines(ROWS)).encode())[:-9])
    with arrow_threads(4), pytest.raises(ClickError, match=r"^a\.gz: damaged after line 4000: "):
        cached(FileClicks([path], CLICK_SPEC), tmp_path / "cache")
    (folder,) = (tmp_path / "cache").iterdir()
    assert len(contents(folder)) == ROWS // 700


@pytest.mark.parametrize("start", [0, 1, 99, 100, 1234, ROWS - 1, ROWS])
def test_reading_from_any_row_on(tmp_path: Path, start: int) -> None:
    (tmp_path / "clicks").mkdir()
    as_many_files(tmp_path / "clicks")
    every, some = (FileClicks([tmp_path / "clicks"], CLICK_SPEC) for _ in range(2))
    with arrow_threads(4):
        wanted = np.concatenate([block.places for block in every.blocks() if block.places is not None])
        found = [block.places for block in some.blocks(start) if block.places is not None]
    assert np.array_equal(np.concatenate([np.empty(0, np.int64), *found]), wanted[wanted >= start])
    assert some.counts() == every.counts()


def test_streamed_rows_are_read_before_they_are_asked_for(tmp_path: Path) -> None:
    class Watched(FileClicks):
        encoded = 0

        def _encode(self, found: FilePiece) -> Any:
            self.encoded += 1
            return super()._encode(found)

    source = Watched([write_lines(tmp_path / "a", ["\t".join(row) for row in rows(bad=False)])], CLICK_SPEC)
    with arrow_threads(2):
        batches = source.read(0, ROWS, 10)
        next(batches)
        until(lambda: source.encoded > 2)  # one piece has more than three batches
        assert source.encoded < 15
        assert sum(len(batch.labels) for batch in batches) == ROWS - 10
