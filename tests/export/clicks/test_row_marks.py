"""What rows carry along beside their features, and where they stand in their source."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from testing.clicks import CLICK_SPEC, everything, lines, numbers, write_lines
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.origin import origin
from thimble.export.clicks.rows import ClickError, Rows

MOMENTS = [datetime(2026, 1, 2, hour, tzinfo=UTC) for hour in range(4)]
SECONDS = [moment.timestamp() for moment in MOMENTS]


def write_csv(path: Path, users: list[str], times: list[str]) -> Path:
    rows = [f"{i % 2},{i},1,{i},1,s,{user},{time}" for i, (user, time) in enumerate(zip(users, times, strict=True))]
    path.write_text("\n".join(["label,d0,d1,f0,f1,f2,user,at", *rows, ""]))
    return path


def write_parquet(path: Path, users: Any, times: Any) -> Path:
    rows = len(users)
    columns = {"label": [0] * rows, "d0": [1] * rows, "d1": [1] * rows, "f0": range(rows), "f1": ["1"] * rows}
    pq.write_table(pa.table({**columns, "f2": ["s"] * rows, "user": users, "at": times}), path)
    return path


def test_groups_and_times_of_text(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "c.csv", ["Ann", "", "Ann", "Bo"], ["7", "-1.5", "2026-01-02", "2026-01-02T01:00Z"])
    clicks = everything(FileClicks([path], CLICK_SPEC, group="user", time="at"))
    assert clicks.groups is not None and clicks.times is not None
    assert clicks.groups.dtype == np.int64 and clicks.times.dtype == np.float64
    ann, nobody, again, bo = clicks.groups.tolist()
    assert ann == again and nobody == 0 and len({ann, nobody, bo}) == 3
    assert clicks.times.tolist() == [7, -1.5, SECONDS[0], SECONDS[1]]


@pytest.mark.parametrize(
    "users",
    [
        pa.array(["7", None, "7", "8"]),
        pa.array(["7", None, "7", "8"]).dictionary_encode(),
        pa.array([7, None, 7, 8], pa.int64()),
        pa.array([b"7", b"", b"7", b"8"], pa.binary_view()),
    ],
    ids=lambda array: str(array.type),
)
@pytest.mark.parametrize(
    "times",
    [
        pa.array(SECONDS),
        pa.array(SECONDS, pa.int64()),
        pa.array(MOMENTS, pa.timestamp("ns", "UTC")),
        pa.array(MOMENTS, pa.timestamp("ms", "Europe/Oslo")).dictionary_encode(),
        pa.array([moment.isoformat() for moment in MOMENTS]),
    ],
    ids=lambda array: str(array.type),
)
def test_groups_and_times_of_every_type(tmp_path: Path, users: Any, times: Any) -> None:
    path = write_parquet(tmp_path / "c.parquet", users, times)
    clicks = everything(FileClicks([path], CLICK_SPEC, group="user", time="at"))
    written = write_csv(tmp_path / "c.csv", ["7", "", "7", "8"], ["1"] * 4)
    text = everything(FileClicks([written], CLICK_SPEC, group="user"))
    assert clicks.groups is not None and clicks.times is not None and text.groups is not None
    assert clicks.groups.tolist() == text.groups.tolist()  # a row's group does not depend on the file's form
    assert clicks.times.tolist() == SECONDS


def test_a_row_without_a_time_is_a_bad_row(tmp_path: Path) -> None:
    users = ["a"] * 5
    for path in (
        write_csv(tmp_path / "c.csv", users, ["1", "noon", "", "nan", "2"]),
        write_parquet(tmp_path / "c.parquet", users, pa.array([1.0, np.inf, None, np.nan, 2.0])),
    ):
        source = FileClicks([path], CLICK_SPEC, time="at")
        clicks = everything(source)
        assert numbers([clicks]) == [0, 4]
        assert clicks.times is not None and clicks.times.tolist() == [1, 2]
        assert source.bad.count == 3
        assert all(" at: " in reason and reason.endswith(" is no time") for reason in source.bad.first.values())
        assert everything(FileClicks([path], CLICK_SPEC)).times is None


def test_what_is_missing_of_a_group_is_what_is_missing_of_text(tmp_path: Path) -> None:
    for path, known in (
        (write_csv(tmp_path / "c.csv", ["-", "a", "\\N", "", "-"], ["1"] * 5), 1),
        (write_parquet(tmp_path / "c.parquet", pa.array(["-", "a", None, "", "-"]), [1] * 5), 1),
        (write_parquet(tmp_path / "f.parquet", pa.array([np.nan, 7.0, None, np.nan, -1.0]), [1] * 5), 2),
    ):
        groups = everything(FileClicks([path], CLICK_SPEC, missing=["-"], group="user")).groups
        assert groups is not None and np.count_nonzero(groups) == known and groups[1] != 0


def test_times_are_the_numbers_that_other_columns_take(tmp_path: Path) -> None:
    texts = ["1e3", " 7 ", "1_000", "infinity", "\u0661", "-1", "-1.0", "2026-01-02", "1e999"]
    for path in (
        write_csv(tmp_path / "c.csv", ["a"] * 9, texts),
        write_parquet(tmp_path / "c.parquet", ["a"] * 9, pa.array(texts).dictionary_encode()),
    ):
        times = everything(FileClicks([path], CLICK_SPEC, time="at", missing=["-1"])).times
        assert times is not None and times.tolist() == [1000, 7, SECONDS[0]]
    path = write_parquet(tmp_path / "n.parquet", ["a"] * 3, pa.array([-1, 5, 6]))
    times = everything(FileClicks([path], CLICK_SPEC, time="at", missing=["-1"])).times
    assert times is not None and times.tolist() == [5, 6]


@pytest.mark.parametrize("wanted", ["group", "time"])
def test_a_column_that_cannot_be_carried_along_is_named(tmp_path: Path, wanted: str) -> None:
    nested = pa.array([{"x": 1}] * 2)
    path = write_parquet(tmp_path / "c.parquet", nested, nested)

    def carrying(path: Path, column: str) -> FileClicks:
        grouped = wanted == "group"
        return FileClicks([path], CLICK_SPEC, group=column if grouped else None, time=None if grouped else column)

    refused = r"^c\.parquet: column 'user': its type is struct<x: int64>, which is not read as "
    with pytest.raises(ClickError, match=refused):
        everything(carrying(path, "user"))
    for absent in (path, write_lines(tmp_path / "day_0", lines(3))):
        with pytest.raises(ClickError, match=rf"^{absent.name}: no column 'session'"):
            carrying(absent, "session")


def test_where_rows_stand(tmp_path: Path) -> None:
    rows = lines(5000)
    bad = {0, 1023, 1024, 2500, 4999}
    for i in bad:
        rows[i] = "nonsense"
    write_lines(tmp_path / "day_0", rows[:3000])
    write_lines(tmp_path / "day_1.gz", rows[3000:])
    source = FileClicks([tmp_path], CLICK_SPEC)
    good = [i for i in range(5000) if i not in bad]
    blocks = list(source.blocks())
    assert numbers(blocks) == good
    assert [place for block in blocks if block.places is not None for place in block.places.tolist()] == good
    assert source.count() == 5000
    for start, stop, size in ((0, 5000, 777), (1000, 4000, 10_000), (2999, 3001, 1)):
        parts = list(source.read(start, stop, size))
        places = [place for part in parts if part.places is not None for place in part.places.tolist()]
        assert places == numbers(parts) == [i for i in good if start <= i < stop]


def test_marks_are_found_again_when_a_run_is_exported(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "c.csv", ["a", "b"], ["1", "2"])
    source = FileClicks([path], CLICK_SPEC, group="user", time="at")
    kept = origin(Rows(source, 0, 2))
    assert kept is not None
    (again,) = kept.rows(CLICK_SPEC).read(10)
    assert again.groups is not None and again.times is not None
    assert again.times.tolist() == [1, 2]
