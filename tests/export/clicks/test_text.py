import csv
import gzip
import io
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testing.clicks import CLICK_SPEC, everything, lines, numbers, write_lines
from testing.data import CRITEO_LINES, needs
from testing.samples import small_spec
from thimble.export.clicks.csv_files import CsvFile
from thimble.export.clicks.file_rows import FileRows
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.folders import FoundFile
from thimble.export.clicks.golden import golden_batch, golden_features
from thimble.export.clicks.rows import ClickError, Rows
from thimble.export.clicks.tables import Columns
from thimble.models.inputs import Feature
from thimble.models.presets import preset
from thimble.models.spec import ModelSpec
from thimble.service.wire.rows import TSV, RowReader


@pytest.fixture
def spec() -> ModelSpec:
    return CLICK_SPEC


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


BAD = {
    "x\t1\t1\t1\t1\ts": "label: 'x' is not 0 or 1",
    "2\t1\t1\t1\t1\ts": "label: '2' is not 0 or 1",
    "\t1\t1\t1\t1\ts": "label: '' is not 0 or 1",
    "1\tone\t1\t1\t1\ts": "d0: 'one' is not a finite number",
    "1\t1\t1e999\t1\t1\ts": "d1: inf is not a finite float32 number",
    "1\t1\t1\t1.5\t1\ts": "f0: '1.5' is not an integer",
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


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_an_empty_line_of_one_column_is_a_row_without_a_value(tmp_path: Path, end: str) -> None:
    """As of a model of one feature, whose lines lack their labels."""
    path = tmp_path / "day_0"
    path.write_bytes("".join(f"{line}{end}" for line in ["", "7", "", "1\t2", "", "x", ""]).encode())
    source = FileRows([path], small_spec(dense=0, kinds=("int",)))
    (part,) = source.read()
    assert part.batch.ids[:, 0].tolist() == [0, 7, 0, 0, 0, 0, 0]
    assert np.flatnonzero(part.bad).tolist() == [3, 5]
    assert [*source.bad.first.values()] == [
        "day_0 line 4: 1 columns expected, found 2",
        "day_0 line 6: f0: 'x' is not an integer",
    ]


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
    source = FileClicks([path], spec, label="clicked", multiline=True)
    clicks = everything(source)
    assert clicks.labels.tolist() == [1, 0, 0]
    expected = np.array([[math.nan, 2.5], [3, math.nan], [-1, 1000]], np.float32)
    assert np.array_equal(clicks.batch.dense, expected, equal_nan=True)
    assert clicks.batch.ids[:, :2].tolist() == [[7, 31], [0, 0], [9, 0]]
    first, blank, last = clicks.batch.ids[:, 2].tolist()
    assert first == last != blank == 0
    assert list(source.bad.first.values()) == [
        f"{name} line 5: clicked: 'maybe' is not 0 or 1",
        f"{name} line 6: 7 columns expected, found 2",
    ]


STRAY = "a quote is not closed or stands inside a value that is not quoted (--multiline allows both)"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('1,5,5,5,5,"Oslo', STRAY),
        ('1,5,5,5,5,5" disc', STRAY),
        ('1,5,5,5,5,"Oslo"x', STRAY),
        ('1,"5,5,5,5,s', STRAY),
        ('"1,5,5,5,5,s', STRAY),
        ('1,5,5,5,5,"""', STRAY),
        ("1,5,5,5,5,a\rb", "a carriage return stands inside a value that is not quoted"),
        ("1,5,5,5,5," + "x" * 200_000, "it is longer than 131,072 characters"),
    ],
)
def test_a_stray_quote_spoils_its_own_row_alone(tmp_path: Path, spec: ModelSpec, line: str, reason: str) -> None:
    """Read as a quote that opens a value, it takes all rows up to the next one into that value."""
    rows = [f"{i % 2},{i},{i},{i},{i:x},s{i}" for i in range(2000)]
    rows[100] = rows[1500] = line
    path = tmp_path / "clicks.csv"
    path.write_bytes("\n".join(["label,d0,d1,f0,f1,f2", *rows, ""]).encode())
    source = FileClicks([path], spec)
    assert numbers(source.read(0, source.count(), 700)) == [i for i in range(2000) if i not in (100, 1500)]
    assert list(source.bad.first.values()) == [f"clicks.csv line {number}: {reason}" for number in (102, 1502)]
    with pytest.raises(ClickError, match=r"^clicks\.csv line 102: "):
        everything(FileClicks([path], spec, strict=True))


def test_rows_of_several_lines_only_where_they_are_asked_for(tmp_path: Path, spec: ModelSpec) -> None:
    path = tmp_path / "clicks.csv"
    path.write_text('label,d0,d1,f0,f1,f2\n1,1,1,5,1,"two\nlines"\n0,1,1,6,1,"a ""b"", c"\n')
    source = FileClicks([path], spec)
    assert numbers(source.read(0, source.count(), 10)) == [6]
    assert source.bad.count == 2
    source = FileClicks([path], spec, multiline=True)
    assert numbers(source.read(0, source.count(), 10)) == [5, 6]
    assert source.bad.count == 0


@given(st.lists(st.lists(st.text('ab", ', max_size=6), min_size=6, max_size=6), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_csv_writes_on_a_line_is_read_whole(tmp_path: Path, rows: list[list[str]]) -> None:
    names = ["a", "b", "c", "d", "e", "f"]
    text = io.StringIO()
    csv.writer(text).writerows([names, *rows])
    path = tmp_path / "clicks.csv"
    path.write_text(text.getvalue(), newline="")
    columns = Columns(None, [Feature(name, "string") for name in names])
    file = CsvFile(FoundFile(path, path.name, {}), columns, ",")
    (piece,) = file.pieces(0, len(rows))
    table = piece()
    assert not table.misfits
    values = [table.values(column, np.arange(len(rows))) for column in range(6)]
    assert [list(row) for row in zip(*values, strict=True)] == rows


CRITEO_ENDS = ["s\r", "s\rt", "s\u2028t", "s\x85t", "s\0", " s ", "\ufeffs", "s"]


@given(st.lists(st.sampled_from(CRITEO_ENDS), min_size=1, max_size=8), st.sampled_from(["\n", "\r\n"]), st.booleans())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_trainer_and_server_read_a_line_alike(tmp_path: Path, texts: list[str], end: str, marked: bool) -> None:
    rows = [f"{i % 2}\t{i}\t\t{i}\t{i:x}\t{text}" for i, text in enumerate(texts)]
    body = ("\ufeff" if marked else "") + "".join(row + end for row in rows)
    path = tmp_path / "day_0"
    path.write_bytes(body.encode())
    clicks = everything(FileClicks([path], CLICK_SPEC))
    served = RowReader(CLICK_SPEC, 10).read(TSV, body.encode())
    assert np.array_equal(clicks.batch.dense, served.dense, equal_nan=True)
    assert clicks.batch.ids.tolist() == served.ids.tolist()


def test_csv_in_other_encodings(tmp_path: Path, spec: ModelSpec) -> None:
    path = tmp_path / "clicks.csv"
    path.write_bytes(b"label,d0,d1,f0,f1,f2\n1,1,1,1,1,caf\xe9\n0,1,1,2,1,caf\xc3\xa9\n")
    source = FileClicks([path], spec)
    assert numbers(source.read(0, 2, 10)) == [2]
    assert list(source.bad.first.values()) == ["clicks.csv line 2: f2: 'caf\\udce9' is not valid Unicode text"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('"1","1","1","1","1","caf\udce9"', "f2: 'caf\\udce9' is not valid Unicode text"),
        ('1,1,1,1,1,"caf\udce9, ""open"""', "f2: 'caf\\udce9, \"open\"' is not valid Unicode text"),
        ('1,1,1,1,1,"caf\udce9",""', "6 columns expected, found 7"),
        ('"1,1,1",1,"caf\udce9"', "6 columns expected, found 3"),
        ("caf\udce9", "6 columns expected, found 1"),
        ('"caf\udce9" open,1,1,1,1,s', STRAY),
        ("1,1,1,1,caf\udce9\r,s", "a carriage return stands inside a value that is not quoted"),
        ("1,1,1,1,1," + "\udce9" * 200_000, "it is longer than 131,072 characters"),
        ("1,1,1,1,xyz," + "é" * 100_000, "f1: 'xyz' is not a hexadecimal token"),
        ("1,1,1,1,1," + "é" * 100_000 + ",", "6 columns expected, found 7"),
    ],
)
def test_what_is_wrong_with_a_line_among_some_that_are_not_utf8(
    tmp_path: Path, spec: ModelSpec, line: str, reason: str
) -> None:
    good = [f"{i % 2},{i},{i},{i},{i:x},{'é' * (i % 3)}" for i in range(500)]
    path = tmp_path / "clicks.csv"
    text = "\n".join(["label,d0,d1,f0,f1,f2", *good[:9], "1,1,1,1,1,\udcff", *good[9:99], line, *good[99:]])
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    source = FileClicks([path], spec)
    assert numbers(source.read(0, source.count(), 700)) == [*range(500)]
    unreadable = "clicks.csv line 11: f2: '\\udcff' is not valid Unicode text"
    assert list(source.bad.first.values()) == [unreadable, f"clicks.csv line 102: {reason}"]
    assert source.bad.count == 2


def test_values_as_people_write_them(tmp_path: Path, spec: ModelSpec) -> None:
    path = tmp_path / "clicks.csv"
    rows = ["True,NaN, 1,7.0,\\N,Oslo", " 0,True,NULL,,1f ,NA", "1.0,2,<NA>,-7,NA,\\N"]
    path.write_text("\n".join(["label,d0,d1,f0,f1,f2", *rows, ""]))
    source = FileClicks([path], spec)
    clicks = everything(source)
    assert source.bad.count == 0 and clicks.labels.tolist() == [1, 0, 1]
    assert np.array_equal(clicks.batch.dense, [[math.nan, 1], [1, math.nan], [2, math.nan]], equal_nan=True)
    assert clicks.batch.ids[:2, :2].tolist() == [[7, 0], [0, 31]]
    assert (clicks.batch.ids[:, 2] != 0).tolist() == [True, True, False]
    golden = golden_batch(spec, golden_features(spec, Rows(source, 0, 3)))
    assert np.array_equal(golden.ids[:3], clicks.batch.ids)
    assert np.array_equal(golden.dense[:3], clicks.batch.dense, equal_nan=True)


def test_csv_with_a_byte_order_mark(tmp_path: Path, spec: ModelSpec) -> None:
    path = tmp_path / "clicks.csv"
    path.write_text("label,d0,d1,f0,f1,f2\n1,1,1,5,1,s\n", encoding="utf-8-sig")
    assert numbers(FileClicks([path], spec).read(0, 1, 10)) == [5]


@needs(CRITEO_LINES)
def test_real_criteo_lines() -> None:
    source = FileClicks([CRITEO_LINES], preset("demo"))
    clicks = everything(source)
    assert source.count() == 600 == len(clicks.labels)
    assert source.bad.count == 0
    assert 0 < np.isnan(clicks.batch.dense).mean() < 0.5
    assert (clicks.batch.ids < 1 << 32).all() and (clicks.batch.ids >= 0).all()
    raw = [row.split("\t") for row in CRITEO_LINES.read_text().splitlines()]
    assert clicks.labels.tolist() == [float(row[0]) for row in raw]
    assert clicks.batch.ids[:, 0].tolist() == [int(row[14], 16) if row[14] else 0 for row in raw]
