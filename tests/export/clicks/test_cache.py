"""What is read of click files is found again: whole, or as far as it came, and never of other files."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from testing.clicks import CLICK_SPEC, everything, lines, write_lines
from testing.disk import files_no_larger_than
from thimble.export.clicks import cache, formats, parquet
from thimble.export.clicks.cache import cached
from thimble.export.clicks.cached import CachedClicks
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.rows import ClickError, Clicks, rebatched
from thimble.export.clicks.shards import open_shard, write_shard
from thimble.models.features import Batch

SHARD = 500


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "SHARD_ROWS", SHARD)
    monkeypatch.setattr(formats, "_BLOCK", 1 << 12)  # a shard is some whole blocks
    monkeypatch.setattr(formats, "_PIECE", 1 << 12)
    monkeypatch.setattr(parquet, "TABLE_ROWS", SHARD // 2)


class Watched(FileClicks):
    """Counts the rows that are read, and stops as if the process were killed after so many."""

    def __init__(self, path: Path, most: int = 10**9, strict: bool = False) -> None:
        super().__init__([path], CLICK_SPEC, strict=strict)
        self.most = most
        self.rows = 0

    def blocks(self, start: int = 0) -> Iterator[Clicks]:
        for clicks in rebatched(super().blocks(start), 250):
            if self.rows >= self.most:
                raise KeyboardInterrupt
            self.rows += len(clicks.labels)
            yield clicks


def all_of(clicks: CachedClicks) -> Clicks:
    return clicks.take(np.arange(clicks.count()))


def assert_same(found: Clicks, wanted: Clicks) -> None:
    for name in ("labels", "groups", "times", "places"):
        ours, theirs = getattr(found, name), getattr(wanted, name)
        assert (ours is None) == (theirs is None)
        if theirs is not None:
            assert ours.dtype == theirs.dtype and np.array_equal(ours, theirs)
    assert found.batch.dense.tobytes() == wanted.batch.dense.tobytes()  # NaN and all
    assert np.array_equal(found.batch.ids, wanted.batch.ids)


def some_lines(count: int) -> list[str]:
    """Every hundredth is bad."""
    rows = lines(count)
    rows[3::100] = ["nonsense"] * len(rows[3::100])
    return rows


@pytest.mark.parametrize("form", ["lines", "gz", "csv", "parquet", "folder"])
def test_the_cache_holds_what_the_files_hold(tmp_path: Path, form: str, small_shards: None) -> None:
    names = ["label", "d0", "d1", "f0", "f1", "f2", "user", "at"]
    rows = [[*line.split("\t"), f"u{i % 7}", str(i)] for i, line in enumerate(lines(2500))]
    rows[100][1] = rows[2000][0] = "bad"
    text = [",".join(names), *map(",".join, rows)]
    group, time = (None, None) if form in ("lines", "gz") else ("user", "at")
    match form:
        case "lines" | "gz":
            path = write_lines(tmp_path / f"clicks.{form}", ["\t".join(row[:6]) for row in rows])
        case "csv":
            path = write_lines(tmp_path / "clicks.csv", text)
        case "parquet":
            path = tmp_path / "clicks.parquet"
            pq.write_table(pa.table(dict(zip(names, zip(*rows, strict=True), strict=True))), path, row_group_size=700)
        case "folder":
            path = tmp_path / "clicks"
            path.mkdir()
            write_lines(path / "1.csv", text[:1000])
            write_lines(path / "2.csv", [text[0], *text[1000:]])
    wanted = everything(FileClicks([path], CLICK_SPEC, group=group, time=time))
    source = FileClicks([path], CLICK_SPEC, group=group, time=time)
    for _ in range(2):
        found = cached(source, tmp_path / "cache")
        assert found.count() == 2498 and source.bad.count == 2
        assert_same(all_of(found), wanted)
        source = FileClicks([path], CLICK_SPEC, group=group, time=time)
    numbers = np.random.default_rng(0).permutation(2498)
    assert_same(found.take(numbers), wanted.take(numbers))
    assert_same(found.take(np.array([2497, 3, 3])), wanted.take(np.array([2497, 3, 3])))
    (folder,) = (tmp_path / "cache").iterdir()
    shards = list(folder.glob("*.arrow"))
    assert len(shards) > 1 and {*folder.iterdir()} == {*shards, folder / "manifest.json"}
    assert found.size == sum(shard.stat().st_size for shard in shards)


@pytest.mark.parametrize(("numbers", "fields"), [(0, 3), (2, 0), (1, 1)])
def test_a_shard_of_any_widths(tmp_path: Path, numbers: int, fields: int) -> None:
    batch = Batch(np.arange(5 * numbers, dtype=np.float32).reshape(5, numbers), np.ones((5, fields), np.int64))
    written = Clicks(np.ones(5, np.float32), batch, places=np.arange(5))
    assert write_shard(tmp_path / "a.arrow", written) == (tmp_path / "a.arrow").stat().st_size
    columns = open_shard(tmp_path / "a.arrow")
    assert [*columns] == ["label", "dense", "ids", "place"]
    assert np.array_equal(columns["dense"], batch.dense) and columns["dense"].shape == (5, numbers)
    assert np.array_equal(columns["ids"], batch.ids) and columns["ids"].shape == (5, fields)


def test_files_are_read_once(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "clicks", some_lines(3000))
    first, second = Watched(path), Watched(path)
    cached(first, tmp_path / "cache")
    cached(second, tmp_path / "cache")
    assert (first.rows, second.rows) == (2970, 0)


def test_bad_rows_are_known_to_those_who_find_the_cache(tmp_path: Path, small_shards: None) -> None:
    path = write_lines(tmp_path / "clicks", some_lines(3000))
    first, second = Watched(path), Watched(path)
    cached(first, tmp_path / "cache")
    cached(second, tmp_path / "cache")
    assert second.bad.count == first.bad.count == 30
    assert [*second.bad.first.values()] == [*first.bad.first.values()]
    assert next(iter(second.bad.first.values())) == "clicks line 4: 6 columns expected, found 1"
    with pytest.raises(ClickError, match=r"^clicks line 4: 6 columns expected, found 1$"):
        cached(Watched(path, strict=True), tmp_path / "cache")


def test_reading_that_was_stopped_goes_on_where_it_was(tmp_path: Path, small_shards: None) -> None:
    path = write_lines(tmp_path / "clicks", some_lines(5000))
    with pytest.raises(KeyboardInterrupt):
        cached(Watched(path, most=3000), tmp_path / "cache")
    second = Watched(path)
    said: list[str] = []
    found = cached(second, tmp_path / "cache", said.append)
    assert second.rows < 3000
    assert_same(all_of(found), everything(FileClicks([path], CLICK_SPEC)))
    assert second.bad.count == 50 and len(second.bad.first) == 5
    assert next(iter(second.bad.first.values())) == "clicks line 4: 6 columns expected, found 1"
    assert "from row" in said[0]


def test_bad_rows_at_the_start_of_what_is_left_are_not_hopeless(tmp_path: Path, small_shards: None) -> None:
    path = write_lines(tmp_path / "clicks", [*lines(2000), *["nonsense"] * 12_000, *lines(10)])
    with pytest.raises(KeyboardInterrupt):
        cached(Watched(path, most=2000), tmp_path / "cache")
    second = Watched(path)
    assert cached(second, tmp_path / "cache").count() == 2010
    assert second.bad.count == 12_000


@pytest.mark.parametrize("damage", ["gone", "short", "zeros", "other", "manifest", "no manifest"])
def test_what_is_damaged_is_read_again_from_there(tmp_path: Path, damage: str, small_shards: None) -> None:
    path = write_lines(tmp_path / "clicks", some_lines(5000))
    cached(Watched(path), tmp_path / "cache")
    (folder,) = (tmp_path / "cache").iterdir()
    shards = sorted(folder.glob("*.arrow"))
    broken = shards[2]
    match damage:
        case "gone":
            broken.unlink()
        case "short":
            os.truncate(broken, broken.stat().st_size - 8)
        case "zeros":
            broken.write_bytes(bytes(broken.stat().st_size))
        case "other":
            broken.write_bytes(shards[-1].read_bytes())
        case "manifest":
            (folder / "manifest.json").write_text('{"contents": ')
        case "no manifest":
            (folder / "manifest.json").unlink()
    again = Watched(path)
    found = cached(again, tmp_path / "cache")
    assert_same(all_of(found), everything(FileClicks([path], CLICK_SPEC)))
    assert again.bad.count == 50
    assert 0 < again.rows < 4950 if "manifest" not in damage else again.rows == 4950
    assert {path.name for path in folder.iterdir()} == {"manifest.json", *(path.name for path in shards)}
    third = Watched(path)
    cached(third, tmp_path / "cache")
    assert third.rows == 0


def test_other_files_and_other_ways_to_read_them_have_other_caches(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "clicks", lines(50))
    cached(FileClicks([path], CLICK_SPEC), tmp_path / "cache")
    cached(FileClicks([path], CLICK_SPEC, missing=["7"]), tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 2
    write_lines(path, lines(60))
    found = cached(FileClicks([path], CLICK_SPEC), tmp_path / "cache")
    assert found.count() == 60
    assert [*(tmp_path / "cache").iterdir()] == [found.folder]  # both of the file as it was are gone


def test_a_cache_is_read_on_when_it_is_removed(tmp_path: Path, small_shards: None) -> None:
    path = write_lines(tmp_path / "clicks", lines(3000))
    found = cached(FileClicks([path], CLICK_SPEC), tmp_path / "cache")
    write_lines(path, lines(10))
    cached(FileClicks([path], CLICK_SPEC), tmp_path / "cache")
    assert not found.folder.exists()
    assert all_of(found).batch.ids[:, 0].tolist() == list(range(3000))


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "clicks", lines(3000))

    class Appended(FileClicks):
        def blocks(self, start: int = 0) -> Iterator[Clicks]:
            yield from super().blocks(start)
            with path.open("a") as file:
                file.write("1\t1\t1\t1\t1\ts\n")

    with pytest.raises(ClickError, match=r"^clicks has changed while it was read; give the command again$"):
        cached(Appended([path], CLICK_SPEC), tmp_path / "cache")
    assert cached(FileClicks([path], CLICK_SPEC), tmp_path / "cache").count() == 3001


@pytest.mark.parametrize("size", [100, 3000, 60_000])
def test_a_full_disk(tmp_path: Path, size: int) -> None:
    path = write_lines(tmp_path / "clicks", lines(3000))
    with (
        files_no_larger_than(size),
        pytest.raises(ClickError, match=r"the cache cannot be written: File too large; --c"),
    ):
        cached(FileClicks([path], CLICK_SPEC), tmp_path / "cache")
    (folder,) = (tmp_path / "cache").iterdir()
    assert {file.name for file in folder.iterdir()} <= {"manifest.json"}
    assert cached(FileClicks([path], CLICK_SPEC), tmp_path / "cache").count() == 3000


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "clicks", lines(30))
    folders = {path: "Not a directory", path / "cache": "Not a directory", Path("/proc/cache"): "No such file"}
    for folder, reason in folders.items():
        sentence = rf"the cache cannot be written: {reason}.*; --cache FOLDER puts it elsewhere, and --no-cache does"
        with pytest.raises(ClickError, match=sentence):
            cached(FileClicks([path], CLICK_SPEC), folder)
    with pytest.raises(ClickError, match="not UTF-8; choose another --cache"):
        cached(FileClicks([path], CLICK_SPEC), tmp_path / "caf\udce9")


def test_no_row_is_good(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "clicks", ["nonsense"] * 30)
    for _ in range(2):
        source = FileClicks([path], CLICK_SPEC)
        assert cached(source, tmp_path / "cache").count() == 0
        assert source.bad.count == 30


def reading(path: Path, folder: Path) -> list[str]:
    """A process that reads a file into small shards and says what it has read."""
    code = """
import sys
from pathlib import Path
from testing.clicks import CLICK_SPEC
from thimble.export.clicks import cache, formats, parquet
from thimble.export.clicks.files import FileClicks
cache.SHARD_ROWS = 500
source = FileClicks([Path(sys.argv[1])], CLICK_SPEC)
cache.cached(source, Path(sys.argv[2]), lambda line: print(line, flush=True))
print(source.bad.count)
"""
    return [sys.executable, "-c", code, str(path), str(folder)]


def kill_at_random(tmp_path: Path, kills: int, rows: int, most: float) -> None:
    """Kill readers of one file, after `most` seconds at the latest. The next finds what one alone finds."""
    path = write_lines(tmp_path / "clicks", some_lines(rows))
    for number in range(kills):
        with subprocess.Popen(
            reading(path, tmp_path / "cache"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process:
            assert process.stdout is not None and "reading" in process.stdout.readline()
            with suppress(subprocess.TimeoutExpired):
                process.wait(random.Random(number).random() * most)
            process.kill()
        assert process.returncode == -signal.SIGKILL
    last = FileClicks([path], CLICK_SPEC)
    assert_same(all_of(cached(last, tmp_path / "cache")), everything(FileClicks([path], CLICK_SPEC)))
    assert last.bad.count == rows // 100


def test_reading_that_is_killed_goes_on(tmp_path: Path, small_shards: None) -> None:
    kill_at_random(tmp_path, 2, 40_000, 0.1)


@pytest.mark.proof
@pytest.mark.timeout(900)
def test_reading_that_is_killed_twenty_times_goes_on(tmp_path: Path) -> None:
    kill_at_random(tmp_path, 20, 2_000_000, 0.5)


def test_several_processes_at_once_share_a_cache(tmp_path: Path, small_shards: None) -> None:
    path = write_lines(tmp_path / "clicks", some_lines(20_000))
    command = reading(path, tmp_path / "cache")
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[0].splitlines() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert [output[-1] for output in said] == ["200", "200"]
    assert sum("reading" in line for output in said for line in output) == 1  # the other waits, or comes late
    found = cached(FileClicks([path], CLICK_SPEC), tmp_path / "cache")
    assert_same(all_of(found), everything(FileClicks([path], CLICK_SPEC)))
