import csv
import gzip
import io
import math
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from testing.samples import small_spec
from thimble.export.click_files import FileClicks, click_files
from thimble.export.clicks import ClickError, Clicks, Rows, split
from thimble.models.presets import preset
from thimble.models.spec import ModelSpec

DATA = Path(os.environ.get("THIMBLE_DATA", Path(__file__).parents[3] / "shared" / "data"))


@pytest.fixture
def spec() -> ModelSpec:
    return small_spec(dense=2, kinds=("int", "hex", "string"))


def lines(count: int, first: int = 0) -> list[str]:
    """Criteo lines of `spec` whose int id is the row's number."""
    return [f"{i % 2}\t{i}\t{'' if i % 3 else -i}\t{i}\t{i:x}\ts{i}" for i in range(first, first + count)]


def write_lines(path: Path, rows: list[str]) -> Path:
    text = "".join(f"{row}\n" for row in rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode("utf-8", "surrogateescape")))
    else:
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return path


def numbers(parts: Iterator[Clicks]) -> list[int]:
    return [int(value) for part in parts for value in part.batch.ids[:, 0]]


def everything(source: FileClicks) -> Clicks:
    (clicks,) = source.read(0, source.count(), 1_000_000)
    return clicks


@pytest.mark.parametrize("name", ["day_0", "clicks.tsv", "clicks.txt.gz", "day_0.gz"])
def test_criteo_lines(tmp_path: Path, spec: ModelSpec, name: str) -> None:
    source = FileClicks([write_lines(tmp_path / name, lines(10))], spec)
    clicks = everything(source)
    assert source.count() == 10
    assert clicks.labels.tolist() == [0, 1] * 5
    assert clicks.labels.dtype == np.float32
    assert clicks.batch.ids[:, :2].tolist() == [[i, i] for i in range(10)]
    assert len(set(clicks.batch.ids[:, 2].tolist())) == 10
    expected = [[i, math.nan if i % 3 else -i] for i in range(10)]
    assert np.array_equal(clicks.batch.dense, np.array(expected, np.float32), equal_nan=True)
    assert source.bad.count == 0
    assert source.description == name


def test_carriage_returns_and_a_last_line_without_end(tmp_path: Path, spec: ModelSpec) -> None:
    path = tmp_path / "day_0"
    path.write_bytes("\r\n".join(lines(3)).encode())
    source = FileClicks([path], spec)
    assert numbers(source.read(0, source.count(), 10)) == [0, 1, 2]
    assert source.bad.count == 0


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
    assert click_files([late, early]) == [late, early]
    assert numbers(FileClicks([late, early], spec).read(0, 4, 3)) == [2, 3, 0, 1]


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


def test_split(tmp_path: Path, spec: ModelSpec) -> None:
    source = FileClicks([write_lines(tmp_path / "a", lines(15))], spec)
    train, held_out = split(source, share=0.1)
    assert (train.start, train.stop, held_out.start, held_out.stop) == (0, 13, 13, 15)
    apart = FileClicks([write_lines(tmp_path / "b", lines(4))], spec)
    train, held_out = split(source, apart)
    assert (len(train), len(held_out)) == (15, 4)
    with pytest.raises(ClickError, match="c: 1 rows are too few"):
        split(FileClicks([write_lines(tmp_path / "c", lines(1))], spec))


BAD = {
    "x\t1\t1\t1\t1\ts": "label: 'x' is not 0 or 1",
    "2\t1\t1\t1\t1\ts": "label: '2' is not 0 or 1",
    "\t1\t1\t1\t1\ts": "label: '' is not 0 or 1",
    "1\tone\t1\t1\t1\ts": "d0: 'one' is not a finite number",
    "1\t1\t1e999\t1\t1\ts": "d1: inf is not a finite float32 number",
    "1\t1\t1\t-1\t1\ts": "f0: '-1' is not an integer from 0 to 2^60 - 1",
    "1\t1\t1\t1\txyz\ts": "f1: 'xyz' is not a hexadecimal token",
    "1\t1\t1\t1\t1\t\udcff": "f2: '\\udcff' is not valid Unicode text",
    "1\t1\t1\t1\t1": "6 columns expected, found 5",
    "1\t1\t1\t1\t1\ts\ts": "6 columns expected, found 7",
    "": "6 columns expected, found 1",
}


@pytest.mark.parametrize(("bad", "reason"), BAD.items())
@pytest.mark.parametrize("name", ["day_0", "day_0.gz"])
def test_a_bad_line_is_left_out_and_named(tmp_path: Path, spec: ModelSpec, name: str, bad: str, reason: str) -> None:
    path = write_lines(tmp_path / name, [*lines(3), bad, *lines(2, 3)])
    source = FileClicks([path], spec)
    assert source.count() == 6
    assert numbers(source.read(0, 6, 100)) == [0, 1, 2, 3, 4]
    assert list(source.bad.first.values()) == [f"{name} line 4: {reason}"]
    assert numbers(source.read(0, 6, 2)) == [0, 1, 2, 3, 4]
    assert source.bad.count == 1  # read twice, counted once
    strict = FileClicks([path], spec, strict=True)
    with pytest.raises(ClickError, match=f"^{name} line 4: "):
        list(strict.read(0, 6, 100))


def test_many_bad_lines(tmp_path: Path, spec: ModelSpec) -> None:
    source = FileClicks([write_lines(tmp_path / "a", ["nonsense", *lines(2), *["1\tx\t1\t1\t1\ts"] * 20])], spec)
    assert numbers(source.read(0, source.count(), 8)) == [0, 1]
    assert source.bad.count == 21
    assert len(source.bad.first) == 5
    assert all(not len(part.labels) for part in source.read(3, 23, 8))


def test_truncated_gz(tmp_path: Path, spec: ModelSpec) -> None:
    path = write_lines(tmp_path / "day_0.gz", lines(3000))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ClickError, match=r"^day_0\.gz: damaged after line \d+: "):
        FileClicks([path], spec).count()


def test_damaged_gz(tmp_path: Path, spec: ModelSpec) -> None:
    path = write_lines(tmp_path / "day_0.gz", lines(3000))
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2 : len(whole) // 2 + 40] = bytes(40)
    path.write_bytes(whole)
    with pytest.raises(ClickError, match=r"^day_0\.gz: damaged after line \d+: "):
        FileClicks([path], spec).count()


def test_not_a_gz(tmp_path: Path, spec: ModelSpec) -> None:
    path = tmp_path / "day_0.gz"
    path.write_text("0\t1\n")
    with pytest.raises(ClickError, match=r"^day_0\.gz: damaged after line 0: Not a gzipped file"):
        FileClicks([path], spec).count()


def test_missing_and_empty(tmp_path: Path, spec: ModelSpec) -> None:
    with pytest.raises(ClickError, match=r"/nowhere: no such file or folder$"):
        FileClicks([tmp_path / "nowhere"], spec)
    (tmp_path / "none").mkdir()
    with pytest.raises(ClickError, match=r"^no click files in .*/none$"):
        FileClicks([tmp_path / "none"], spec)
    empty = tmp_path / "empty"
    empty.touch()
    with pytest.raises(ClickError, match=r"^empty: 0 rows are too few"):
        split(FileClicks([empty], spec))
    (tmp_path / "empty.csv").touch()
    with pytest.raises(ClickError, match=r"^empty\.csv: empty, a header line was expected$"):
        FileClicks([tmp_path / "empty.csv"], spec).count()


HEADER = ["note", "f2", "clicked", "d1", "d0", "f1", "f0"]


def csv_text(rows: list[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([HEADER, *rows])
    return text.getvalue()


@pytest.mark.parametrize("name", ["clicks.csv", "clicks.csv.gz"])
def test_csv(tmp_path: Path, spec: ModelSpec, name: str) -> None:
    rows = [
        ["a", 'Paris, "France"', "1", "2.5", "", "1F", "7"],
        ["two\nlines", "", "0", " ", "3", "", ""],
        ["c", "x", "maybe", "1", "1", "1", "1"],
        ["d", "too few"],
        ["e", 'Paris, "France"', "0", "1e3", "-1", "0", "9"],
    ]
    path = tmp_path / name
    text = csv_text(rows).encode()
    path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    source = FileClicks([path], spec, label="clicked")
    clicks = everything(source)
    assert clicks.labels.tolist() == [1, 0, 0]
    expected = np.array([[math.nan, 2.5], [3, math.nan], [-1, 1000]], np.float32)
    assert np.array_equal(clicks.batch.dense, expected, equal_nan=True)
    assert clicks.batch.ids[:, :2].tolist() == [[7, 31], [0, 0], [9, 0]]
    first, blank, last = clicks.batch.ids[:, 2].tolist()
    assert first == last != blank == 0
    assert list(source.bad.first.values()) == [
        f"{name} line 6: 6 columns expected, found another number",
        f"{name} line 5: clicked: 'maybe' is not 0 or 1",
    ]


def test_csv_in_other_encodings(tmp_path: Path, spec: ModelSpec) -> None:
    path = tmp_path / "clicks.csv"
    path.write_bytes(b"label,d0,d1,f0,f1,f2\n1,1,1,1,1,caf\xe9\n0,1,1,2,1,caf\xc3\xa9\n")
    source = FileClicks([path], spec)
    assert numbers(source.read(0, 2, 10)) == [2]
    assert list(source.bad.first.values()) == ["clicks.csv line 2: f2: 'caf\\udce9' is not valid Unicode text"]


def test_csv_with_a_byte_order_mark(tmp_path: Path, spec: ModelSpec) -> None:
    path = tmp_path / "clicks.csv"
    path.write_text("label,d0,d1,f0,f1,f2\n1,1,1,5,1,s\n", encoding="utf-8-sig")
    assert numbers(FileClicks([path], spec).read(0, 1, 10)) == [5]


def test_missing_column_is_named_with_those_there_are(tmp_path: Path, spec: ModelSpec) -> None:
    path = tmp_path / "clicks.csv"
    path.write_text("label,d0,d1,f0,f1\n")
    with pytest.raises(ClickError, match=r"^clicks\.csv: no column 'f2'; there are label, d0, d1, f0, f1$"):
        FileClicks([path], spec).count()
    table = pa.table({"label": [1], "d0": [1.0]})
    pq.write_table(table, tmp_path / "clicks.parquet")
    with pytest.raises(ClickError, match=r"^clicks\.parquet: no column 'd1'; there are label, d0$"):
        list(FileClicks([tmp_path / "clicks.parquet"], spec).read(0, 1, 1))


def columns(**changed: Any) -> dict[str, Any]:
    return {
        "label": [1, 0, 1, 0],
        "d0": pa.array([1, None, -3, 4], pa.int32()),
        "d1": pa.array([0.5, math.nan, None, 2.5], pa.float64()),
        "f0": pa.array([7, None, 1 << 59, 0], pa.int64()),
        "f1": pa.array(["1f", None, "", "FF"]),
        "f2": pa.array(["a", None, " ", "a"]).dictionary_encode(),
        **changed,
    }


def write_parquet(path: Path, data: dict[str, Any]) -> Path:
    pq.write_table(pa.table(data), path)
    return path


def test_parquet(tmp_path: Path, spec: ModelSpec) -> None:
    source = FileClicks([write_parquet(tmp_path / "a.parquet", columns())], spec)
    clicks = everything(source)
    assert clicks.labels.tolist() == [1, 0, 1, 0]
    expected = np.array([[1, 0.5], [math.nan] * 2, [-3, math.nan], [4, 2.5]], np.float32)
    assert np.array_equal(clicks.batch.dense, expected, equal_nan=True)
    assert clicks.batch.ids[:, :2].tolist() == [[7, 31], [0, 0], [1 << 59, 0], [0, 255]]
    assert clicks.batch.ids[0, 2] == clicks.batch.ids[3, 2] != 0
    assert clicks.batch.ids[1:3, 2].tolist() == [0, 0]
    assert source.bad.count == 0


def test_parquet_ids_that_a_data_frame_made_floats(tmp_path: Path, spec: ModelSpec) -> None:
    data = columns(f0=[7.0, math.nan, 3.5, 0.0], label=[True, False, True, False])
    source = FileClicks([write_parquet(tmp_path / "a.parquet", data)], spec)
    assert numbers(source.read(0, 4, 4)) == [7, 0, 0]
    assert list(source.bad.first.values()) == ["a.parquet line 3: f0: 3.5 is not an integer"]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"label": [1, 0, None, 0]}, "label: None is not 0 or 1"),
        ({"label": [1.0, 0.0, 0.5, 0.0]}, "label: 0.5 is not 0 or 1"),
        ({"label": pa.array([[1], [0], [1], [1]])}, "label: a list is not 0 or 1"),
        ({"d0": ["1", "2", "3", "4"]}, "d0: '1' is not a number"),
        ({"f2": [1, 2, 3, 4]}, "f2: 1 is not a string"),
    ],
)
def test_parquet_of_other_types(tmp_path: Path, spec: ModelSpec, changed: dict[str, Any], reason: str) -> None:
    source = FileClicks([write_parquet(tmp_path / "a.parquet", columns(**changed))], spec)
    list(source.read(0, 4, 4))
    first = next(iter(source.bad.first.values()))
    assert first.endswith(reason) or reason in source.bad.first.values()
    assert first.startswith("a.parquet line ")


def test_parquet_ranges_across_files(tmp_path: Path, spec: ModelSpec) -> None:
    for i in range(3):
        ids = list(range(5000 * i, 5000 * (i + 1)))
        data = {"label": [0] * 5000, "d0": ids, "d1": ids, "f0": ids, "f1": ["1"] * 5000, "f2": ["s"] * 5000}
        write_parquet(tmp_path / f"part-{i}.parquet", data)
    source = FileClicks([tmp_path], spec)
    assert source.count() == 15_000
    assert numbers(source.read(4090, 10_005, 1000)) == list(range(4090, 10_005))


def test_parquet_that_is_none_or_damaged(tmp_path: Path, spec: ModelSpec) -> None:
    path = tmp_path / "a.parquet"
    path.write_text("nonsense")
    with pytest.raises(ClickError, match=r"^a\.parquet: not readable as Parquet: "):
        FileClicks([path], spec).count()
    ids = np.random.default_rng(0).integers(0, 1 << 59, 20_000)
    words = [f"{i:x}" for i in ids.tolist()]
    data = {"label": [0] * 20_000, "d0": ids, "d1": ids, "f0": ids, "f1": words, "f2": words}
    whole = bytearray(write_parquet(path, data).read_bytes())
    for place in range(1000, len(whole) - 20_000, 997):
        whole[place : place + 20] = bytes(20)
    path.write_bytes(whole)
    with pytest.raises(ClickError, match=r"^a\.parquet: damaged after row \d+: "):
        list(FileClicks([path], spec).read(0, 20_000, 1000))


def test_parquet_and_text_do_not_mix(tmp_path: Path, spec: ModelSpec) -> None:
    write_lines(tmp_path / "a.txt", lines(3))
    write_parquet(tmp_path / "b.parquet", columns())
    with pytest.raises(ClickError, match="cannot be mixed"):
        FileClicks([tmp_path], spec)


def test_memory_does_not_grow_with_the_file(tmp_path: Path, spec: ModelSpec) -> None:
    def peak(rows: int) -> int:
        source = FileClicks([write_lines(tmp_path / f"{rows}.gz", lines(rows))], spec)
        tracemalloc.start()
        try:
            assert sum(len(part.labels) for part in source.read(0, source.count(), 256)) == rows
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(300)
    assert peak(20_000) < peak(2_000) * 1.3


def test_real_criteo_lines() -> None:
    path = DATA / "criteo_1tb_1k" / "criteoTab.tsv"
    if not path.is_file():
        pytest.skip(f"no real Criteo lines at {path}; set THIMBLE_DATA")
    source = FileClicks([path], preset("demo"))
    clicks = everything(source)
    assert source.count() == 600 == len(clicks.labels)
    assert source.bad.count == 0
    assert 0 < np.isnan(clicks.batch.dense).mean() < 0.5
    assert (clicks.batch.ids < 1 << 32).all() and (clicks.batch.ids >= 0).all()
    raw = [row.split("\t") for row in path.read_text().splitlines()]
    assert clicks.labels.tolist() == [float(row[0]) for row in raw]
    assert clicks.batch.ids[:, 0].tolist() == [int(row[14], 16) if row[14] else 0 for row in raw]
