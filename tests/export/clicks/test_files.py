import gzip
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from testing.clicks import CLICK_SPEC, lines, numbers, write_lines
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.rows import ClickError, Rows
from thimble.models.spec import ModelSpec


@pytest.fixture
def spec() -> ModelSpec:
    return CLICK_SPEC


def test_folder_in_natural_order(tmp_path: Path, spec: ModelSpec) -> None:
    for first, name in enumerate(["day_0", "day_1.gz", "day_2", "day_10", "day_11.gz"]):
        write_lines(tmp_path / name, lines(3, first * 3))
    (tmp_path / ".hidden").write_text("x")
    (tmp_path / "folder").mkdir()
    source = FileClicks([tmp_path], spec)
    assert [path.name for path in source.files] == ["day_0", "day_1.gz", "day_2", "day_10", "day_11.gz"]
    assert numbers(source.read(0, source.count(), 4)) == list(range(15))


def test_files_are_read_in_the_order_given(tmp_path: Path, spec: ModelSpec) -> None:
    late, early = write_lines(tmp_path / "b", lines(2, 2)), write_lines(tmp_path / "a", lines(2))
    source = FileClicks([late, early], spec)
    assert source.files == [late, early]
    assert numbers(source.read(0, 4, 3)) == [2, 3, 0, 1]


def test_any_range_equals_that_part_of_the_whole(tmp_path: Path, spec: ModelSpec) -> None:
    for i, name in enumerate(["day_0", "day_1.gz", "day_2"]):
        write_lines(tmp_path / name, lines(7, 7 * i))
    source = FileClicks([tmp_path], spec)
    for start in (0, 1, 6, 7, 8, 14, 20, 21):
        for stop in (start, min(start + 1, 21), max(start, 15), 21):
            for size in (1, 4, 7, 100):
                parts = list(source.read(start, stop, size))
                assert numbers(iter(parts)) == list(range(start, stop))
                assert all(len(part.labels) == size for part in parts[:-1])
    rows = Rows(source, 5, 18)
    assert len(rows) == 13
    assert numbers(rows.read(4, skip=6)) == list(range(11, 18))


def test_many_bad_lines(tmp_path: Path, spec: ModelSpec) -> None:
    source = FileClicks([write_lines(tmp_path / "a", ["nonsense", *lines(2), *["1\tx\t1\t1\t1\ts"] * 20])], spec)
    assert numbers(source.read(0, source.count(), 8)) == [0, 1]
    assert source.bad.count == 21
    assert len(source.bad.first) == 5
    assert all(not len(part.labels) for part in source.read(3, 23, 8))


def test_missing_and_empty(tmp_path: Path, spec: ModelSpec) -> None:
    with pytest.raises(ClickError, match=r"/nowhere: no such file or folder$"):
        FileClicks([tmp_path / "nowhere"], spec)
    (tmp_path / "none").mkdir()
    with pytest.raises(ClickError, match=r"^no click files in .*/none$"):
        FileClicks([tmp_path / "none"], spec)
    for name in ("empty", "empty.csv", "empty.gz", "empty.csv.gz", "empty.zst"):
        pack = {".gz": gzip.compress, ".zst": lambda text: pa.compress(text, codec="zstd", asbytes=True)}
        (tmp_path / name).write_bytes(pack.get(Path(name).suffix, bytes)(b""))
        with pytest.raises(ClickError, match=f"^{name}: empty$"):
            FileClicks([tmp_path / name], spec)


def test_missing_column_is_named_with_those_there_are(tmp_path: Path, spec: ModelSpec) -> None:
    path = tmp_path / "clicks.csv"
    path.write_text("label,d0,d1,f0,f1\n")
    with pytest.raises(ClickError, match=r"^clicks\.csv: no column 'f2'; there are 'label', 'd0', 'd1', 'f0', 'f1'$"):
        FileClicks([path], spec).count()
    table = pa.table({"label": [1], "d0": [1.0]})
    pq.write_table(table, tmp_path / "clicks.parquet")
    with pytest.raises(ClickError, match=r"^clicks\.parquet: no column 'd1'; there are 'label', 'd0'$"):
        list(FileClicks([tmp_path / "clicks.parquet"], spec).read(0, 1, 1))


def test_memory_does_not_grow_with_the_file(tmp_path: Path, spec: ModelSpec) -> None:
    def peak(rows: int) -> int:
        long = [line + "s" * 1000 for line in lines(rows)]
        source = FileClicks([write_lines(tmp_path / f"{rows}.gz", long)], spec)
        tracemalloc.start()
        try:
            assert sum(len(part.labels) for part in source.read(0, source.count(), 256)) == rows
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(300)
    assert peak(24_000) < peak(6_000) * 1.3
