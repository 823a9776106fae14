import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testing.samples import small_spec
from thimble.export.clicks import encoding
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.rows import ClickError, Clicks
from thimble.models import conversions

SPEC = small_spec(dense=2, kinds=("int", "hex", "string"))
NAMES = ["label", *SPEC.feature_names]
Rows = list[tuple[Any, ...]]
Write = Callable[[Path, Rows], Path]

TEXT: list[tuple[list[str], list[str]]] = [
    (["0", "1", "0.0", "1.0"], ["", " ", "2", "yes", "-1"]),
    (["", " ", "3", "-1.5", "1e3"], ["one", "inf", "1e39", "1_0", "\udcff"]),
    (["", "0", "+7"], ["0x1", "--1", "é"]),
    (["", "  ", "0", "17", str((1 << 60) - 1)], ["1.5", str(1 << 64), "x", "1" * 200]),
    (["", "0a1b2c3d", "FFFFFFFF", "1f", "0" * 15], ["xyz", "12 34 56", "1" * 16, "0x10"]),
    (["", " ", "Größe", "a b"], ["\udcff", "caf\udce9"]),
]
"""Good and bad values of the label and of each feature, as text."""

TYPED: list[tuple[Any, list[Any], list[Any]]] = [
    (pa.float64(), [0.0, 1.0], [None, 0.5, math.nan]),
    (pa.float64(), [None, math.nan, 2.5, -3.0], [math.inf, -math.inf, 1e39]),
    (pa.float32(), [None, 1.5], [math.inf]),
    (pa.float64(), [None, math.nan, 7.0, -1.0], [0.5, math.inf, 2.0**53, 2.0**60]),
    (pa.string(), [None, "", " ", "0a1b2c3d", "ff"], ["xyz", "1" * 16]),
    (pa.string(), [None, "a", "Größe"], []),
]
"""The same as Arrow values, with a type."""


def write_lines(path: Path, rows: Rows) -> Path:
    path.write_bytes("".join("\t".join(row) + "\n" for row in rows).encode("utf-8", "surrogateescape"))
    return path


def write_csv(path: Path, rows: Rows) -> Path:
    path = path.with_suffix(".csv")
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([NAMES, *rows])
    return path


def write_parquet(path: Path, rows: Rows) -> Path:
    path = path.with_suffix(".parquet")
    columns = zip(*rows, strict=True) if rows else [()] * len(NAMES)
    arrays = [pa.array(column, kind) for column, (kind, _, _) in zip(columns, TYPED, strict=True)]
    pq.write_table(pa.table(dict(zip(NAMES, arrays, strict=True))), path)
    return path


TEXT_ROWS = st.tuples(*(st.sampled_from([*good, *bad]) for good, bad in TEXT))
TYPED_ROWS = st.tuples(*(st.sampled_from([*good, *bad]) for _, good, bad in TYPED))
FORMS = [
    pytest.param(write_lines, TEXT, id="criteo"),
    pytest.param(write_csv, TEXT, id="csv"),
    pytest.param(write_parquet, [(good, bad) for _, good, bad in TYPED], id="parquet"),
]


def everything(source: FileClicks, size: int = 10_000) -> list[Clicks]:
    return list(source.read(0, source.count(), size))


def same(parts: list[Clicks], others: list[Clicks]) -> bool:
    """The same rows bit for bit, whatever batches they are in."""
    (labels, dense, ids), (other_labels, other_dense, other_ids) = (
        (
            np.concatenate([np.zeros(0, np.float32), *(part.labels for part in some)]),
            np.concatenate([np.zeros((0, 2), np.float32), *(part.batch.dense for part in some)]),
            np.concatenate([np.zeros((0, 3), np.int64), *(part.batch.ids for part in some)]),
        )
        for some in (parts, others)
    )
    return (
        labels.tobytes() == other_labels.tobytes()
        and np.array_equal(dense, other_dense, equal_nan=True)
        and ids.tobytes() == other_ids.tobytes()
    )


@pytest.mark.parametrize(("write", "values"), FORMS)
def test_a_bad_value_in_every_kind_of_column(
    tmp_path: Path, write: Write, values: list[tuple[list[Any], list[Any]]]
) -> None:
    good: Rows = [tuple(column[0][i % len(column[0])] for column in values) for i in range(40)]
    alone = everything(FileClicks([write(tmp_path / "good", good)], SPEC))
    header = write is write_csv
    for column, (_, bad) in enumerate(values):
        for i, value in enumerate(bad):
            row = tuple(value if c == column else good[i][c] for c in range(len(NAMES)))
            source = FileClicks([write(tmp_path / "clicks", [*good[:17], row, *good[17:]])], SPEC)
            assert same(everything(source), alone)
            (message,) = source.bad.first.values()
            unit = "row" if write is write_parquet else "line"
            assert message.startswith(f"{source.description} {unit} {18 + header}: {NAMES[column]}: ")
            strict = FileClicks(source.files, SPEC, strict=True)
            with pytest.raises(ClickError) as refused:
                everything(strict)
            assert str(refused.value) == message


@pytest.mark.parametrize("form", ["criteo", "csv", "parquet"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_good_rows_of_a_file_with_bad_ones_are_as_they_are_alone(
    tmp_path: Path, form: str, data: st.DataObject
) -> None:
    write: Write = {"criteo": write_lines, "csv": write_csv, "parquet": write_parquet}[form]
    strategy: Any = TYPED_ROWS if form == "parquet" else TEXT_ROWS
    rows: Rows = data.draw(st.lists(strategy, min_size=1, max_size=60))
    start: tuple[Any, ...] = tuple(column[-2][0] for column in (TYPED if form == "parquet" else TEXT))
    first = 3 if form == "csv" else 2
    reasons: dict[int, str] = {}
    for i, row in enumerate(rows):
        single = FileClicks([write(tmp_path / "clicks", [start, row])], SPEC)
        everything(single)
        for message in single.bad.first.values():
            reasons[i + first] = message.partition(": ")[2]
    good = [start, *(row for i, row in enumerate(rows) if i + first not in reasons)]
    alone = everything(FileClicks([write(tmp_path / "good", good)], SPEC))
    source = FileClicks([write(tmp_path / "clicks", [start, *rows])], SPEC)
    for size in (data.draw(st.integers(1, 70)), 1000):
        assert same(everything(source, size), alone)
    assert source.bad.seen.get(source.files[0], set()) == set(reasons)
    for message in source.bad.first.values():
        place, _, reason = message.partition(": ")
        assert reason == reasons[int(place.rpartition(" ")[2])]


def test_a_row_is_named_with_what_is_wrong_first(tmp_path: Path) -> None:
    path = tmp_path / "clicks"
    path.write_text("0\tx\t1\t-1\tg\ts\n2\tx\t1\t1\t1\ts\n1\t1\t1\t1\t1\n0\t1\t1\t1\t1\ts\n")
    source = FileClicks([path], SPEC)
    assert sum(len(part.labels) for part in everything(source)) == 1
    assert sorted(source.bad.first.values()) == [
        "clicks line 1: d0: 'x' is not a finite number",
        "clicks line 2: label: '2' is not 0 or 1",
        "clicks line 3: 6 columns expected, found 5",
    ]


def test_bad_rows_where_tables_and_files_meet(tmp_path: Path) -> None:
    """A file is read a thousand rows at a time; batches go on over that and into the next file."""
    lines = [f"{i % 2}\t{i}\t{i}\t{i}\t{i:x}\ts{i}" for i in range(5000)]
    bad = {0, 1023, 1024, 2047, 2500, 2999, 3000, 4023, 4999}
    for i in bad:
        lines[i] = lines[i].replace("s", "\udcff") if i % 2 else "nonsense"
    for name, some in (("day_0", lines[:3000]), ("day_1", lines[3000:])):
        (tmp_path / name).write_bytes("".join(f"{line}\n" for line in some).encode("utf-8", "surrogateescape"))
    source = FileClicks([tmp_path], SPEC)
    for start, stop, size in ((0, 5000, 2048), (0, 5000, 700), (1023, 4024, 1000), (2999, 3001, 5)):
        parts = list(source.read(start, stop, size))
        ids = [int(value) for part in parts for value in part.batch.ids[:, 0]]
        assert ids == [i for i in range(start, stop) if i not in bad]
        assert len(parts) == math.ceil((stop - start) / size)
        assert [int(value) for part in parts if part.raw for value in part.raw()[2]] == ids
    seen = {(path.name, line) for path, lines in source.bad.seen.items() for line in lines}
    assert seen == {("day_0", i + 1) if i < 3000 else ("day_1", i - 2999) for i in bad}


@pytest.mark.parametrize("write", [write_lines, write_csv, write_parquet])
def test_the_reading_ends_where_a_column_has_thousands_of_bad_values_alone(tmp_path: Path, write: Write) -> None:
    """Whether each row is bad for it, or those in which it is missing are good."""
    kinds = TYPED if write is write_parquet else [(None, *values) for values in TEXT]
    good: tuple[Any, ...] = ("1", "3", "7", "17", "1f", "a")
    blank: tuple[Any, ...] = ("",) * len(good)
    if write is write_parquet:
        good, blank = (1.0, 2.5, 1.5, 7.0, "ff", "a"), (None,) * len(good)
    unit, header = ("row", 0) if write is write_parquet else ("line", int(write is write_csv))
    for column, missing in ((0, False), (1, True)):
        bad = (*good[:column], kinds[column][2][0], *good[column + 1 :])
        gap = (*good[:column], blank[column], *good[column + 1 :])
        rows = [gap if missing and i % 2 else bad for i in range(21_000)]
        source = FileClicks([write(tmp_path / "clicks", rows)], SPEC)
        with pytest.raises(ClickError) as refused:
            everything(source)
        last = 10_000 * (1 + missing) - missing + header
        assert str(refused.value).startswith(
            f"column {NAMES[column]!r}: not one of its first 10,000 values can be read; "
            f"{source.description} {unit} {last}: "
        )
        rows[9_000] = good  # one good value among them is enough to go on, whenever it is read
        hopeful = FileClicks([write(tmp_path / "clicks", rows)], SPEC)
        assert sum(len(part.labels) for part in everything(hopeful)) == (10_501 if missing else 1)
        counted = hopeful.bad.count
        assert all(len(part.labels) for part in hopeful.read(10_000, 21_000, 5500)) == missing
        assert hopeful.bad.count == counted


@pytest.mark.parametrize("write", [write_lines, write_csv, write_parquet])
def test_what_is_wrong_is_put_into_words_for_those_that_are_shown(
    tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that thousands of bad rows cost no more than good ones."""
    made: list[str] = []

    def shown(value: object) -> str:
        made.append(repr(value))
        return repr(value)

    for module in (conversions, encoding):
        monkeypatch.setattr(module, "shown", shown)
    rows: Rows = [("1", "3", "7", "17", "1f", "a")] * 4000
    if write is write_parquet:
        rows = [(1.0, 2.5, 1.5, 7.0, "ff", "a")] * 4000
    for i in range(0, 4000, 2):
        rows[i] = (*rows[i][:4], f"{i}x", "a")
    source = FileClicks([write(tmp_path / "clicks", rows)], SPEC)
    assert sum(len(part.labels) for part in everything(source)) == 2000
    assert source.bad.count == 2000 and len(source.bad.first) == 5
    assert len(made) < 50


def test_bad_values_are_counted_once_however_often_they_are_read(tmp_path: Path) -> None:
    rows = [("0", "x" if i % 2 else "", "1", "1", "1", "s") for i in range(12_000)]
    source = FileClicks([write_lines(tmp_path / "clicks", rows)], SPEC)
    for _ in range(3):
        assert sum(len(part.labels) for part in everything(source)) == 6_000
    assert source.bad.count == 6_000


def test_the_reading_ends_where_the_first_thousands_of_rows_are_all_bad(tmp_path: Path) -> None:
    source = FileClicks([write_lines(tmp_path / "clicks", [("0", "1")] * 30_000)], SPEC)
    with pytest.raises(ClickError) as refused:
        everything(source, 1000)
    line = "clicks line 1: 6 columns expected, found 2"
    assert str(refused.value) == f"not one of the first 10,000 rows can be used; {line}"
