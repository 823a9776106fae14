"""Arrow's own files and streams."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pytest

from testing.clicks import CLICK_SPEC, everything, numbers
from thimble.export.clicks.file_rows import FileRows
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.rows import ClickError

ROWS = 5000


def table(rows: int = ROWS, **changed: Any) -> pa.Table:
    columns = {
        "label": [i % 2 for i in range(rows)],
        "d0": pa.array(range(rows), pa.int32()),
        "d1": pa.array([None if i % 3 else -i for i in range(rows)], pa.float64()),
        "unused": pa.array([[i] for i in range(rows)]),
        "f0": pa.array(range(rows), pa.int64()),
        "f1": [f"{i:x}" for i in range(rows)],
        "f2": pa.array([f"s{i % 7}" for i in range(rows)]).dictionary_encode(),
    }
    return pa.table(columns | changed)


def packed(clicks: pa.Table, form: str, compression: str | None = None, batch: int = 700) -> bytes:
    file = io.BytesIO()
    new = ipc.new_file if form == "file" else ipc.new_stream
    with new(file, clicks.schema, options=ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(clicks, max_chunksize=batch)
    return file.getvalue()


@pytest.mark.parametrize("compression", [None, "zstd", "lz4"])
@pytest.mark.parametrize("form", ["file", "stream"])
@pytest.mark.parametrize("name", ["clicks.arrow", "clicks", "clicks.csv"])
def test_arrow_is_read_as_parquet_is(tmp_path: Path, form: str, compression: str | None, name: str) -> None:
    (tmp_path / name).write_bytes(packed(table(), form, compression))
    pq.write_table(table(), tmp_path / "clicks.parquet")
    source = FileClicks([tmp_path / name], CLICK_SPEC)
    clicks, other = everything(source), everything(FileClicks([tmp_path / "clicks.parquet"], CLICK_SPEC))
    assert source.count() == ROWS and source.bad.count == 0
    assert np.array_equal(clicks.batch.dense, other.batch.dense, equal_nan=True)
    assert np.array_equal(clicks.batch.ids, other.batch.ids)
    for start, stop in ((0, 3), (690, 1500), (4999, 5000)):
        assert numbers(source.read(start, stop, 100)) == list(range(start, stop))


def test_batches_of_any_size(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(packed(table(40_000), "file", batch=40_000))
    (tmp_path / "small").write_bytes(packed(table(300), "stream", batch=1))
    (tmp_path / "none").write_bytes(packed(table(0), "file"))
    source = FileClicks([tmp_path], CLICK_SPEC)
    assert source.count() == 40_300
    assert numbers(source.blocks()) == [*range(40_000), *range(300)]


def test_feather_and_folders_as_columns(tmp_path: Path) -> None:
    folder = tmp_path / "f2=Oslo"
    folder.mkdir()
    feather.write_feather(table(100).drop(["f2"]), str(folder / "part-0.feather"))
    (folder / "part-1.arrow").write_bytes(packed(table(50).drop(["f2"]), "stream", "zstd"))
    (folder / "_SUCCESS").write_bytes(b"")
    (folder / ".part-1.arrow.crc").write_bytes(b"crc")
    source = FileClicks([tmp_path], CLICK_SPEC)
    assert numbers(source.blocks()) == [*range(100), *range(50)]
    assert source.passed_over == ["f2=Oslo/.part-1.arrow.crc", "f2=Oslo/_SUCCESS"]


def test_bad_rows_are_named(tmp_path: Path) -> None:
    path = tmp_path / "clicks.arrow"
    labels = [None if i == 3 else i % 2 for i in range(ROWS)]
    tokens = pa.array([b"\xff" if i == 4200 else b"1" for i in range(ROWS)]).view(pa.string())
    path.write_bytes(packed(table(label=labels, f1=tokens), "file"))
    source = FileClicks([path], CLICK_SPEC)
    assert numbers(source.blocks()) == [i for i in range(ROWS) if i not in (3, 4200)]
    assert list(source.bad.first.values()) == [
        "clicks.arrow row 4: label: None is not 0 or 1",
        "clicks.arrow row 4201: f1: '\\udcff' is not a hexadecimal token",
    ]


def test_keys_keep_their_types(tmp_path: Path) -> None:
    (tmp_path / "clicks").write_bytes(packed(table(), "stream"))
    rows = FileRows([tmp_path / "clicks"], CLICK_SPEC, ["unused", "f2"])
    assert rows.key_types() == [pa.list_(pa.int64()), pa.dictionary(pa.int32(), pa.string())]
    parts = list(rows.read())
    assert [row for part in parts for row in part.keys[0].to_pylist()] == [[i] for i in range(ROWS)]


@pytest.mark.parametrize("form", ["file", "stream"])
def test_what_does_not_fit_is_refused(tmp_path: Path, form: str) -> None:
    path = tmp_path / "clicks.arrow"
    path.write_bytes(packed(table().drop(["f2"]), form))
    with pytest.raises(ClickError, match=r"^clicks\.arrow: no column 'f2'; there are 'label', 'd0', "):
        FileClicks([path], CLICK_SPEC)
    path.write_bytes(packed(table(f0=pa.array([1.5] * ROWS).cast(pa.string()), f1=[0.5] * ROWS), form))
    with pytest.raises(
        ClickError, match=r"^clicks\.arrow: column 'f1': its type is double, which is not read as a hex"
    ):
        FileClicks([path], CLICK_SPEC)
    for content in (b"", b"nonsense", b"ARROW1\0\0"):
        path.write_bytes(content)
        with pytest.raises(ClickError, match=r"^clicks\.arrow: not readable as Arrow: "):
            FileClicks([path], CLICK_SPEC)


@pytest.mark.parametrize("compression", [None, "zstd"])
@pytest.mark.parametrize("form", ["file", "stream"])
def test_a_damaged_file_is_named(tmp_path: Path, form: str, compression: str | None) -> None:
    """Cut off, or with bytes of its buffers overwritten: one sentence, and no row that was not there."""
    path = tmp_path / "clicks.arrow"
    whole = packed(table(), form, compression)
    for place in range(len(whole) // 9, len(whole) - 9, len(whole) // 9):
        for damaged in (whole[:place], whole[:place] + b"\xff\x7f\xf0" * 3 + whole[place + 9 :]):
            path.write_bytes(damaged)
            try:
                found = numbers(FileClicks([path], CLICK_SPEC).blocks())
            except ClickError as error:
                assert str(error).startswith("clicks.arrow: ")
            else:
                assert len(found) <= ROWS
                assert form == "stream" or damaged[-6:] == b"ARROW1"


def test_a_damaged_name_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "clicks.arrow"
    path.write_bytes(packed(table().rename_columns({"unused": "unusual"}), "stream").replace(b"unusual", b"\xffnusual"))
    with pytest.raises(ClickError, match=r"^clicks\.arrow: not readable as Arrow: 'utf-8' codec can't decode "):
        FileClicks([path], CLICK_SPEC)
