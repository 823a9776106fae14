import bz2
import gzip
import io
import lzma
import pickle
import sqlite3
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from testing.clicks import CLICK_SPEC, lines, numbers
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.rows import ClickError

CSV = "label,d0,d1,f0,f1,f2\n" + "".join(f"{i % 2},{i},,{i},{i:x},s{i}\n" for i in range(3000))
CRITEO = "".join(f"{line}\n" for line in lines(3000))


def zipped(content: bytes, *others: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("clicks")
        for name in ("clicks/part", *others):
            archive.writestr(name, content)
    return file.getvalue()


PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda content: bytes(pa.compress(content, codec="zstd", asbytes=True)),
    "zip": lambda content: zipped(content, "__MACOSX/clicks/._part"),
}


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("text", [CSV, CRITEO], ids=["csv", "criteo"])
def test_packed_text_whatever_its_name(tmp_path: Path, packing: str, text: str) -> None:
    packed = PACKINGS[packing](text.encode())
    suffix = ".csv" if text is CSV else ".tsv"
    for name in (f"clicks{suffix}.{packing}", "clicks", "clicks.dat"):
        path = tmp_path / name
        path.write_bytes(packed)
        source = FileClicks([path], CLICK_SPEC)
        assert numbers(source.read(0, source.count(), 1000)) == list(range(3000))
        assert source.bad.count == 0


@pytest.mark.parametrize("packing", PACKINGS)
def test_packed_text_that_was_cut_off(tmp_path: Path, packing: str) -> None:
    path = tmp_path / "clicks"
    packed = PACKINGS[packing](CSV.encode())
    for size in (6, len(packed) // 2, len(packed) - 1):
        path.write_bytes(packed[:size])
        with pytest.raises(ClickError, match=r"^clicks: damaged after line \d+: .+"):
            FileClicks([path], CLICK_SPEC).count()


def test_two_packed_files_one_after_the_other(tmp_path: Path) -> None:
    half = len(CRITEO) // 2
    for name in ("gz", "bz2", "xz", "zst"):
        (tmp_path / name).write_bytes(
            b"".join(PACKINGS[name](part.encode()) for part in (CRITEO[:half], CRITEO[half:]))
        )
        source = FileClicks([tmp_path / name], CLICK_SPEC)
        assert numbers(source.read(0, source.count(), 5000)) == list(range(3000))


@pytest.mark.parametrize("name", ["clicks.parquet.gzip", "clicks.parq", "clicks", "clicks.csv", "clicks.PARQUET"])
def test_parquet_whatever_its_name(tmp_path: Path, name: str) -> None:
    ids = list(range(3000))
    columns = {"label": [0] * 3000, "d0": ids, "d1": ids, "f0": ids, "f1": ["1"] * 3000, "f2": ["s"] * 3000}
    pq.write_table(pa.table(columns), tmp_path / name, compression="gzip")
    source = FileClicks([tmp_path / name], CLICK_SPEC)
    assert numbers(source.read(0, source.count(), 1000)) == ids


RETURNS = "its lines end in carriage returns alone; convert them to line feeds"


@pytest.mark.parametrize("packing", ["gz", "zst", "none"])
@pytest.mark.parametrize("name", ["clicks.csv", "clicks"])
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (CSV.replace("\n", "\r"), RETURNS),
        (CRITEO.replace("\n", "\r"), RETURNS),
        (CSV.replace("\n", "\r") * 40, RETURNS),
        ("x" * 20_000_000, "line 1 is longer than 1,048,576 bytes"),
        (CSV + "x" * 20_000_000, "line 3002 is longer than 1,048,576 bytes"),
        (CSV.replace("\n", "\r\n") + "\r" * 20_000_000, "line 3002 is longer than 1,048,576 bytes"),
    ],
    ids=["csv", "criteo", "long", "one-line", "last-line", "last-returns"],
)
def test_text_without_line_feeds(tmp_path: Path, packing: str, name: str, text: str, reason: str) -> None:
    """It is refused before it fills the memory."""
    path = tmp_path / name
    path.write_bytes(PACKINGS.get(packing, bytes)(text.encode()))
    del text
    tracemalloc.start()
    try:
        with pytest.raises(ClickError) as refused:
            FileClicks([path], CLICK_SPEC).count()
        assert tracemalloc.get_traced_memory()[1] < 12_000_000
    finally:
        tracemalloc.stop()
    assert str(refused.value) == f"{name}: {reason}"


def test_carriage_returns_end_lines_where_rows_may_span_several(tmp_path: Path) -> None:
    path = tmp_path / "clicks.csv"
    path.write_bytes(CSV.replace("\n", "\r").encode() * 2)
    source = FileClicks([path], CLICK_SPEC, multiline=True)
    assert numbers(source.read(0, 3000, 3000)) == list(range(3000))
    path.write_bytes(CSV.replace("\n", "\r").encode() + b"x" * 2_000_000)
    with pytest.raises(ClickError, match=r"^clicks\.csv: line 3002 is longer than 1,048,576 bytes$"):
        FileClicks([path], CLICK_SPEC, multiline=True).count()


def test_a_long_line_is_still_one(tmp_path: Path) -> None:
    path = tmp_path / "clicks"
    path.write_bytes(b"1\t1\t1\t1\t1\t" + b"s" * 1_000_000 + b"\n1\t1\t1\t2\t1\ts")
    assert numbers(FileClicks([path], CLICK_SPEC).read(0, 2, 2)) == [1, 2]


def parquet() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"label": [1]}), file)
    return file.getvalue()


def arrow() -> bytes:
    file = io.BytesIO()
    feather.write_feather(pa.table({"label": [1]}), file)
    return file.getvalue()


def tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("clicks"), io.BytesIO())
    return file.getvalue()


def numpy_file() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


def database(folder: Path) -> bytes:
    path = folder / "clicks.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("create table clicks (label)")
    connection.close()
    return path.read_bytes()


CONVERT, UNPACK = "convert it to Parquet or CSV", "unpack it"
REFUSED: list[tuple[bytes, str]] = [
    (b"ORC\x08\x03\x10\x01", f"ORC is not read; {CONVERT}"),
    (b"Obj\x01\x04\x16avro.schema", f"Avro is not read; {CONVERT}"),
    (b"FEA1\0\0\0\0", f"Feather version 1 is not read; {CONVERT}"),
    (numpy_file(), f"NumPy that is not called *_dense.npy, *_sparse.npy or *_labels.npy is not read; {CONVERT}"),
    (pickle.dumps([1]), f"a pickle is not read; {CONVERT}"),
    (b'{"label": 1, "d0": 2}\n{"label": 0}\n', f"JSON is not read; {CONVERT}"),
    (b'\xef\xbb\xbf\r\n[\n {"label": 1}\n]', f"JSON is not read; {CONVERT}"),
    (CSV.encode("utf-16"), "UTF-16 is not read; save it as UTF-8 (iconv -f UTF-16 -t UTF-8)"),
    (b"\xfe\xff" + CSV.encode("utf-16-be"), "UTF-16 is not read; save it as UTF-8 (iconv -f UTF-16 -t UTF-8)"),
    (tar(), f"a tar archive is not read; {UNPACK}"),
    (gzip.compress(tar()), f"a tar archive is not read; {UNPACK}"),
    (gzip.compress(b'{"label": 1}'), f"JSON is not read; {CONVERT}"),
    (gzip.compress(parquet()), f"what is packed in it is not text; {UNPACK} first"),
    (gzip.compress(arrow()), f"what is packed in it is not text; {UNPACK} first"),
    (zipped(gzip.compress(b"1\t1")), f"what is packed in it is not text; {UNPACK} first"),
    (zipped(b"1\t1", "other"), f"a zip archive of 2 files is not read; {UNPACK} into a folder"),
    (zipped(b"", "[Content_Types].xml", "xl/workbook.xml"), "an Office document is not read; save it as CSV"),
    (b"\x04\x22\x4d\x18\x64\x40", f"LZ4 is not read; {UNPACK}"),
    (b"7z\xbc\xaf\x27\x1c\x00\x04", f"a 7z archive is not read; {UNPACK}"),
]


@pytest.mark.parametrize(("content", "reason"), REFUSED)
@pytest.mark.parametrize("name", ["clicks", "clicks.csv"])
def test_another_format_is_named_and_not_taken_for_lines(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ClickError) as refused:
        FileClicks([tmp_path / name], CLICK_SPEC)
    assert str(refused.value) == f"{name}: {reason}"


def test_a_database(tmp_path: Path) -> None:
    (tmp_path / "clicks").write_bytes(database(tmp_path))
    with pytest.raises(ClickError, match=r"^clicks: SQLite is not read; "):
        FileClicks([tmp_path / "clicks"], CLICK_SPEC)


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        (8, 1, "an encrypted zip archive is not read; unpack it"),
        (10, 9, "the zip archive is not read (That compression method is not supported); unpack it"),
    ],
)
def test_a_zip_of_a_kind_that_is_not_read(tmp_path: Path, place: int, value: int, reason: str) -> None:
    archive = bytearray(zipped(b"1\t1"))
    entry = archive.index(b"PK\x01\x02", archive.index(b"PK\x01\x02") + 1)  # the one after the folder's
    archive[entry + place] = value
    (tmp_path / "clicks").write_bytes(archive)
    with pytest.raises(ClickError) as refused:
        FileClicks([tmp_path / "clicks"], CLICK_SPEC)
    assert str(refused.value) == f"clicks: {reason}"


@pytest.mark.parametrize("start", ["ORC", "PARE", "FEA1", "BZh", "Obj", "PK", "7z"])
def test_text_that_begins_as_another_format_does(tmp_path: Path, start: str) -> None:
    (tmp_path / "clicks.csv").write_text(f"{start},label,d0,d1,f0,f1,f2\nx,1,1,1,7,1f,s\n")
    assert numbers(FileClicks([tmp_path / "clicks.csv"], CLICK_SPEC).read(0, 1, 1)) == [7]
