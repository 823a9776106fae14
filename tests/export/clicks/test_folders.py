import gzip
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.orc as orc
import pyarrow.parquet as pq
import pytest

from testing.clicks import CLICK_SPEC, everything, lines, numbers, write_lines
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.golden import golden_batch, golden_features
from thimble.export.clicks.origin import origin
from thimble.export.clicks.rows import ClickError, Rows, split
from thimble.models.features import ids_from_text

NAMES = ["label", *CLICK_SPEC.feature_names]


def write_parquet(path: Path, first: int, rows: int = 4, **changed: Any) -> Path:
    ids = list(range(first, first + rows))
    columns = {"label": [i % 2 for i in ids], "d0": ids, "d1": ids, "f0": ids, "f1": ["1f"] * rows, "f2": ["s"] * rows}
    table = {name: values for name, values in (columns | changed).items() if values is not None}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:  # Arrow opens no file whose name is not UTF-8
        pq.write_table(pa.table(table), file)
    return path


def write_csv(path: Path, first: int, rows: int = 4, names: list[str] = NAMES) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {"label": "1", "d0": "1", "d1": "1", "f1": "1f", "f2": "s"}
    table = [",".join(str(i) if name == "f0" else columns[name] for name in names) for i in range(first, first + rows)]
    path.write_text("\n".join([",".join(names), *table, ""]))
    return path


def ids(source: FileClicks) -> list[int]:
    return numbers(source.read(0, source.count(), 3))


def test_what_spark_writes_beside_the_files(tmp_path: Path) -> None:
    write_parquet(tmp_path / "part-00000-x.snappy.parquet", 0)
    write_parquet(tmp_path / "part-00001-x.snappy.parquet", 4)
    for name in ("_SUCCESS", "_committed_17", "_started_17", ".part-00000-x.snappy.parquet.crc", "part-00001.crc"):
        (tmp_path / name).write_text("note")
    pq.write_metadata(pq.read_schema(tmp_path / "part-00000-x.snappy.parquet"), tmp_path / "_common_metadata")
    write_parquet(tmp_path / "_temporary" / "part-00002.parquet", 100)
    write_parquet(tmp_path / ".ipynb_checkpoints" / "part-00000.parquet", 100)
    (tmp_path / "part-00003.csv").touch()
    source = FileClicks([tmp_path], CLICK_SPEC)
    assert ids(source) == list(range(8))
    assert source.passed_over == [
        ".ipynb_checkpoints",
        ".part-00000-x.snappy.parquet.crc",
        "_SUCCESS",
        "_committed_17",
        "_common_metadata",
        "_started_17",
        "_temporary",
        "part-00001.crc",
        "part-00003.csv",
    ]
    # what is named by itself is read whatever its name
    assert ids(FileClicks([tmp_path / "_temporary" / "part-00002.parquet"], CLICK_SPEC)) == [100, 101, 102, 103]


def test_sub_folders_in_natural_order(tmp_path: Path) -> None:
    for first, name in enumerate(["day=2/p.parquet", "day=10/a.csv", "day=10/p_9.csv", "day=10/p_10.csv", "e.parquet"]):
        (write_csv if name.endswith("csv") else write_parquet)(tmp_path / name, 4 * first)
    source = FileClicks([tmp_path], CLICK_SPEC)
    assert ids(source) == list(range(20))
    assert source.description == "day=2/p.parquet, day=10/a.csv, day=10/p_9.csv, day=10/p_10.csv, e.parquet"
    write_parquet(tmp_path / "f.parquet", 20)
    assert FileClicks([tmp_path], CLICK_SPEC).description.endswith(", e.parquet and 1 more")


@pytest.mark.parametrize("write", [write_parquet, write_csv])
def test_columns_that_folders_give(tmp_path: Path, write: Any) -> None:
    """A label, a number and a field of text, as Hive and Spark write them."""
    without: Any = {"names": ["d0", "f0", "f1"]} if write is write_csv else {"label": None, "d1": None, "f2": None}
    folders = [
        "label=1/d1=2.5/f2=Paris%2FTexas",
        "label=0/d1=__HIVE_DEFAULT_PARTITION__/f2=Größe",
        "label=1/d1=-3/f2=__HIVE_DEFAULT_PARTITION__",
    ]
    for i, folder in enumerate(folders):
        write(tmp_path / f"{i}" / folder / "part-0", 4 * i, **without)
    source = FileClicks([tmp_path], CLICK_SPEC)
    clicks = everything(source)
    assert clicks.labels.tolist() == [1] * 4 + [0] * 4 + [1] * 4
    assert clicks.batch.ids[:, 0].tolist() == list(range(12))
    assert np.array_equal(clicks.batch.dense[::4, 1], [2.5, np.nan, -3], equal_nan=True)
    assert clicks.batch.ids[::4, 2].tolist() == ids_from_text("f2", "string", ["Paris/Texas", "Größe", ""]).tolist()
    golden = golden_batch(CLICK_SPEC, golden_features(CLICK_SPEC, Rows(source, 0, 12)))
    assert np.array_equal(golden.ids[:12], clicks.batch.ids)
    # a folder or a file of it alone gives them as well
    (alone,) = FileClicks([tmp_path / "0" / folders[0] / "part-0"], CLICK_SPEC).read(0, 4, 4)
    assert alone.batch.ids.tolist() == clicks.batch.ids[:4].tolist()


def test_a_column_of_the_file_comes_before_one_of_a_folder(tmp_path: Path) -> None:
    write_parquet(tmp_path / "label=1" / "f0=77" / "p.parquet", 0)
    write_csv(tmp_path / "label=0" / "f0=77" / "p.csv", 4)
    clicks = everything(FileClicks([tmp_path], CLICK_SPEC))
    assert clicks.batch.ids[:, 0].tolist() == [4, 5, 6, 7, 0, 1, 2, 3]
    assert clicks.labels.tolist() == [1, 1, 1, 1, 0, 1, 0, 1]


def test_bad_values_of_folders_are_bad_rows(tmp_path: Path) -> None:
    write_parquet(tmp_path / "d1=old" / "p.parquet", 0, d1=None)
    write_parquet(tmp_path / "d1=1" / "p.parquet", 4, d1=None)
    source = FileClicks([tmp_path], CLICK_SPEC)
    assert ids(source) == [4, 5, 6, 7]
    assert next(iter(source.bad.first.values())) == "d1=old/p.parquet row 1: d1: 'old' is not a finite number"


@pytest.mark.parametrize("write", [write_parquet, write_csv])
@pytest.mark.parametrize("folder", [b"f2=caf\xe9", b"f2=caf%E9"])
def test_a_folder_whose_name_is_no_text(tmp_path: Path, write: Any, folder: bytes) -> None:
    without: Any = {"names": NAMES[:-1]} if write is write_csv else {"f2": None}
    write(tmp_path / os.fsdecode(folder) / "part-0", 0, **without)
    write(tmp_path / "f2=b" / "part-0", 4, **without)
    source = FileClicks([tmp_path], CLICK_SPEC)
    assert ids(source) == [4, 5, 6, 7]
    assert next(iter(source.bad.first.values())).endswith(": f2: 'caf\\udce9' is not valid Unicode text")


@pytest.mark.parametrize("write", [write_parquet, write_csv])
def test_dates_and_words_for_missing_values_in_the_names_of_folders(tmp_path: Path, write: Any) -> None:
    without: Any = {"names": ["label", "d0", "f0", "f1", "f2"]} if write is write_csv else {"d1": None}
    write(tmp_path / "d1=1970-01-02" / "part-0", 0, **without)
    write(tmp_path / "d1=none%20yet" / "part-0", 4, **without)
    source = FileClicks([tmp_path], CLICK_SPEC, missing=["none yet"], timestamps=True)
    dense = everything(source).batch.dense[:, 1]
    assert np.array_equal(dense, [86400] * 4 + [np.nan] * 4, equal_nan=True)


OTHERS: list[tuple[str, Any, str]] = [
    ("a.parquet", {"d1": None}, "no column 'd1'; there are 'label', 'd0', 'f0', 'f1', 'f2'"),
    ("a.parquet", {"d1": [[1]] * 4}, "column 'd1': its type is list<element: int64>, which is not read as a number"),
    ("a.csv", b"label,d0\n1,1\n", "no column 'd1'; there are 'label', 'd0'"),
    ("a.csv", b"1,1,1,1,1f,s\n", "no column 'label'; there are '1', '1', '1', '1', '1f', 's'"),
    ("a.orc", None, "ORC is not read; convert it to Parquet or CSV"),
    ("a.parquet", b"PAR1 and no more", "not readable as Parquet: "),
    ("schema.json", b'{"fields": []}', "JSON is not read; convert it to Parquet or CSV"),
]


@pytest.mark.parametrize(("name", "content", "reason"), OTHERS)
def test_a_file_that_does_not_fit_is_named(tmp_path: Path, name: str, content: Any, reason: str) -> None:
    write_parquet(tmp_path / "day=1" / "p.parquet", 0)
    other = tmp_path / "day=2" / name
    other.parent.mkdir()
    if content is None:
        orc.write_table(pa.table({"label": [1, 0]}), other)
    elif isinstance(content, bytes):
        other.write_bytes(content)
    else:
        write_parquet(other, 4, **content)
    with pytest.raises(ClickError) as refused:
        FileClicks([tmp_path], CLICK_SPEC)
    assert str(refused.value).startswith(f"day=2/{name}: {reason}")


def test_names_and_none_do_not_mix(tmp_path: Path) -> None:
    write_parquet(tmp_path / "b.parquet", 0)
    write_csv(tmp_path / "c", 4)
    assert ids(FileClicks([tmp_path], CLICK_SPEC)) == list(range(8))
    write_lines(tmp_path / "a.txt", lines(3))
    message = "^c has columns with names and a.txt has none; give one or the other$"
    with pytest.raises(ClickError, match=message):
        FileClicks([tmp_path], CLICK_SPEC)


def test_columns_in_another_order(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", 0)
    write_csv(tmp_path / "b.csv", 4, names=NAMES[::-1])
    assert ids(FileClicks([tmp_path], CLICK_SPEC)) == list(range(8))


def test_links(tmp_path: Path) -> None:
    """They are followed, but nothing is read twice, and a circle has an end."""
    folder = tmp_path / "clicks"
    write_csv(folder / "day_1" / "p.csv", 0)
    write_csv(folder / "day_2" / "p.csv", 4)
    write_csv(tmp_path / "elsewhere" / "p.csv", 8)
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "elsewhere")
    (folder / "day_3").symlink_to(tmp_path / "elsewhere")
    (folder / "a_latest").symlink_to("day_2")
    (folder / "a_latest.csv").symlink_to("day_1/p.csv")
    (folder / "day_1" / "all").symlink_to("..")
    source = FileClicks([folder], CLICK_SPEC)
    assert ids(source) == list(range(12))
    assert source.passed_over == ["a_latest", "a_latest.csv", "day_1/all", "day_3/back"]
    (folder / "z.csv").symlink_to("gone.csv")
    with pytest.raises(ClickError, match=r"/clicks/z\.csv: neither a file nor a folder$"):
        FileClicks([folder], CLICK_SPEC)
    (folder / "z.csv").unlink()
    os.mkfifo(folder / "pipe")
    with pytest.raises(ClickError, match=r"/clicks/pipe: neither a file nor a folder$"):
        FileClicks([folder], CLICK_SPEC)


def test_files_that_are_named_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "clicks"
    write_csv(folder / "a.csv", 0)
    write_csv(folder / "day=2" / "b.csv", 4)
    (tmp_path / "link").symlink_to(folder)
    (tmp_path / "b").symlink_to(folder / "day=2" / "b.csv")
    monkeypatch.chdir(tmp_path)
    for names, first, passed_over in [
        ("clicks clicks/a.csv clicks/day=2 link b", 0, ["clicks/a.csv", "clicks/day=2", "link", "b"]),
        ("b clicks", 4, ["day=2/b.csv"]),
        ("clicks/a.csv clicks/../clicks/a.csv clicks/day=2 clicks", 0, ["clicks/../clicks/a.csv", "a.csv", "day=2"]),
    ]:
        source = FileClicks([Path(name) for name in names.split()], CLICK_SPEC)
        assert ids(source) == [(first + i) % 8 for i in range(8)]
        assert source.passed_over == passed_over


def test_files_to_train_on_are_not_held_out(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", 0)
    write_csv(tmp_path / "b.csv", 4)
    write_csv(tmp_path / "other" / "c.csv", 8)
    (tmp_path / "other" / "b.csv").symlink_to(tmp_path / "b.csv")
    trained_on = FileClicks([tmp_path / "a.csv", tmp_path / "b.csv"], CLICK_SPEC)
    with pytest.raises(ClickError) as refused:
        split(trained_on, FileClicks([tmp_path / "other"], CLICK_SPEC))
    assert str(refused.value) == f"{tmp_path}/other/b.csv cannot be both trained on and held out"
    assert len(split(trained_on, FileClicks([tmp_path / "other" / "c.csv"], CLICK_SPEC))[1]) == 4


@pytest.mark.parametrize("part", [gzip.compress(b""), bytes(pa.compress(b"", codec="zstd", asbytes=True))])
def test_a_packed_part_of_nothing(tmp_path: Path, part: bytes) -> None:
    write_csv(tmp_path / "part-0.csv", 0)
    (tmp_path / "part-1").write_bytes(part)
    (tmp_path / "part-2.csv.gz").write_bytes(part)
    source = FileClicks([tmp_path], CLICK_SPEC)
    assert ids(source) == [0, 1, 2, 3]
    assert source.passed_over == ["part-1", "part-2.csv.gz"]
    with pytest.raises(ClickError, match=r"^part-1: empty$"):
        FileClicks([tmp_path / "part-0.csv", tmp_path / "part-1"], CLICK_SPEC)
    (tmp_path / "part-1").write_bytes(part[:5])
    with pytest.raises(ClickError, match=r"^part-1: damaged after line 0: "):
        FileClicks([tmp_path], CLICK_SPEC)


def test_a_path_of_any_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With two slashes before it, and relative to a folder that gives a column."""
    write_csv(tmp_path / "f2=Oslo" / "a" / "p.csv", 0, names=NAMES[:-1])
    write_csv(tmp_path / "f2=Oslo" / "q.csv", 4, names=NAMES[:-1])
    oslo = ids_from_text("f2", "string", ["Oslo"]).tolist() * 8
    monkeypatch.chdir(tmp_path / "f2=Oslo" / "a")
    for path in (f"/{tmp_path}", ".."):
        source = FileClicks([Path(path)], CLICK_SPEC)
        assert source.description == "a/p.csv, q.csv"
        assert everything(source).batch.ids[:, 2].tolist() == oslo
    assert everything(FileClicks([Path("p.csv")], CLICK_SPEC)).batch.ids[:, 2].tolist() == oslo[:4]
    write_csv(tmp_path / "r.csv", 8, names=NAMES[:-1])
    with pytest.raises(ClickError, match=r"^r\.csv: no column 'f2'"):
        FileClicks([Path("../../f2=Oslo/../r.csv")], CLICK_SPEC)


@pytest.mark.parametrize(("note", "kind"), [("_delta_log", "Delta"), (".hoodie", "Hudi")])
def test_a_table_of_a_lake_is_refused(tmp_path: Path, note: str, kind: str) -> None:
    """Its folder holds files that were replaced beside those that replaced them."""
    write_parquet(tmp_path / "table" / "part-0.parquet", 0)
    (tmp_path / "table" / note).mkdir()
    with pytest.raises(ClickError, match=f"/table: a {kind} table, whose folder also holds rows deleted from it"):
        FileClicks([tmp_path], CLICK_SPEC)


def test_a_folder_of_notes_alone(tmp_path: Path) -> None:
    (tmp_path / "_SUCCESS").touch()
    with pytest.raises(ClickError, match=r"^no click files in "):
        FileClicks([tmp_path], CLICK_SPEC)


def test_the_rows_of_a_run_are_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what their folders say, also by a link, and with the words for missing values."""
    data = write_csv(tmp_path / "data" / "p.csv", 0, names=[*NAMES[:4], "f1"])
    (tmp_path / "clicks").mkdir()
    (tmp_path / "clicks" / "f2=Oslo").symlink_to(data.parent)
    monkeypatch.chdir(tmp_path)
    source = FileClicks([Path("clicks")], CLICK_SPEC, missing=["1F"], timestamps=True)
    (first,) = source.read(1, 3, 10)
    found = origin(Rows(source, 1, 3))
    monkeypatch.chdir("/")
    assert found is not None
    (second,) = type(found).model_validate_json(found.model_dump_json()).rows(CLICK_SPEC).read(10)
    assert first.batch.ids.tolist() == second.batch.ids.tolist()
    assert first.batch.ids[0].tolist() == [1, 0, *ids_from_text("f2", "string", ["Oslo"]).tolist()]
    os.utime(data, ns=(0, 0))
    with pytest.raises(ClickError, match="has changed since"):
        found.rows(CLICK_SPEC)


def test_packed_files_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(write_csv(tmp_path / "a.csv", 0).read_bytes()))
    assert ids(FileClicks([tmp_path], CLICK_SPEC)) == [0, 1, 2, 3] * 2
