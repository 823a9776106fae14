import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from testing.clicks import CLICK_SPEC, everything
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.golden import golden_features
from thimble.export.clicks.rows import ClickError, Rows
from thimble.models.features import ids_from_text

NAMES = ["label", *CLICK_SPEC.feature_names]
GOOD: dict[str, list[Any]] = {
    "label": [1, 0, 1],
    "d0": [1.0, 2.0, 3.0],
    "d1": [1.0, 2.0, 3.0],
    "f0": [1, 2, 3],
    "f1": ["1", "2", "3"],
    "f2": ["a", "b", "c"],
}


def write_csv(path: Path, columns: dict[str, list[str]]) -> Path:
    table = [[str(value) for value in (GOOD | columns)[name]] for name in NAMES]
    path.write_text("\n".join(map(",".join, [NAMES, *zip(*table, strict=True)])) + "\n")
    return path


def write_parquet(path: Path, columns: dict[str, Any]) -> Path:
    pq.write_table(pa.table(GOOD | columns), path)
    return path


def test_further_words_for_missing_values(tmp_path: Path) -> None:
    words = {
        "d0": ["-", " Unknown ", "3"],
        "f0": ["?", "2", "-999"],
        "f1": ["-", "2", "?"],
        "f2": ["UNKNOWN", "b", " - "],
    }
    path = write_csv(tmp_path / "clicks.csv", words)
    assert len(FileClicks([path], CLICK_SPEC).files) == 1
    source = FileClicks([path], CLICK_SPEC, missing=["-", "?", "unknown", "-999"])
    clicks = everything(source)
    assert source.bad.count == 0
    assert np.array_equal(clicks.batch.dense[:, 0], [math.nan, math.nan, 3], equal_nan=True)
    text = ids_from_text("f2", "string", ["b"]).tolist()
    assert clicks.batch.ids.tolist() == [[0, 0, 0], [2, 2, *text], [0, 0, 0]]
    assert golden_features(CLICK_SPEC, Rows(source, 0, 3))["f2"] == [None, "b", None, None, None]
    without = FileClicks([path], CLICK_SPEC)
    assert without.identity != source.identity  # so that no run goes on with values that were read otherwise
    list(without.read(0, 3, 3))
    assert without.bad.count == 3


def test_a_missing_label_is_a_bad_row_that_shows_its_word(tmp_path: Path) -> None:
    source = FileClicks([write_csv(tmp_path / "c.csv", {"label": ["-", "0", "1"]})], CLICK_SPEC, missing=["-"])
    everything(source)
    assert list(source.bad.first.values()) == ["c.csv line 2: label: '-' is not 0 or 1"]


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("d0", pa.array([-999, 2, None], pa.int16())),
        ("d0", pa.array([-999, 2, None], pa.float32())),
        ("d0", pa.array([Decimal("-999"), Decimal(2), None], pa.decimal128(9, 2))),
        ("d0", pa.array(["-999", "2", None])),
        ("d0", pa.array([b" -999", b"2", None])),
        ("d0", pa.array(["-999", "2", None], pa.string_view())),
        ("f2", pa.array([b"-999", b"2", None], pa.binary_view())),
        ("f0", pa.array([Decimal("-999"), Decimal(2), None], pa.decimal128(9, 2))),
        ("f0", pa.array([-999, 2, None], pa.float16())),
        ("f0", pa.array(["-999.0", "2", None])),
        ("f0", pa.array([-999, 2, None], pa.int64())),
        ("f0", pa.array([-999, 2, None], pa.float64())),
        ("f1", pa.array([-999, 2, None], pa.int32())),
        ("f1", pa.array(["-999", "2", None]).dictionary_encode()),
        ("f2", pa.array([-999, 2, None], pa.int64())),
        ("f2", pa.array(["-999", "2", None], pa.large_string())),
    ],
    ids=str,
)
def test_words_for_missing_values_of_parquet(tmp_path: Path, name: str, array: Any) -> None:
    source = FileClicks([write_parquet(tmp_path / "a.parquet", {name: array})], CLICK_SPEC, missing=["-999"])
    clicks = everything(source)
    assert source.bad.count == 0
    given = [clicks.batch.dense[:, 0] == 2] if name == "d0" else [clicks.batch.ids[:, int(name[1])] != 0]
    assert given[0].tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("name", "word", "tokens", "array"),
    [
        ("d0", "-999", ["-999.0", " -9.99e2 ", "-99"], pa.array([-999, -999, -99], pa.float64())),
        ("d0", "-99.90", ["-99.9", "-99.900", "-99"], pa.array([-99.9, -99.9, -99], pa.float32())),
        ("f0", "-999.0", ["-999", "-999.00", "999"], pa.array([-999, -999, 999], pa.int64())),
        ("f0", str(2**60), [str(2**60), f"{2**60}.0", str(2**60 + 1)], pa.array([2**60, 2**60, 2**60 + 1])),
        ("f1", "0", ["0", " 0 ", "00"], pa.array(["0", " 0 ", "00"])),
        ("f2", "1", ["1", "1 ", "1.0"], pa.array(["1", "1 ", "1.0"])),
    ],
)
def test_a_word_that_is_a_number_stands_for_its_value(
    tmp_path: Path, name: str, word: str, tokens: list[str], array: Any
) -> None:
    """In text as in Parquet; of tokens and text for its letters."""
    paths = write_csv(tmp_path / "a.csv", {name: tokens}), write_parquet(tmp_path / "a.parquet", {name: array})
    for path in paths:
        source = FileClicks([path], CLICK_SPEC, missing=[word])
        clicks = everything(source)
        values = clicks.batch.dense[:, 0] if name == "d0" else clicks.batch.ids[:, int(name[1])]
        found = np.isnan(values) if name == "d0" else values == 0
        assert source.bad.count == 0
        assert found.tolist() == [True, True, name == "f1"]  # 0 is a missing token anyway


@pytest.mark.parametrize(("word", "gone"), [("0", [True, False, False]), ("False", [False, True, False])])
def test_truth_values_are_words(tmp_path: Path, word: str, gone: list[bool]) -> None:
    text = FileClicks([write_csv(tmp_path / "a.csv", {"d0": ["0", "False", "1"]})], CLICK_SPEC, missing=[word])
    assert np.isnan(everything(text).batch.dense[:, 0]).tolist() == gone
    truths = pa.array([True, False, True])
    typed = FileClicks([write_parquet(tmp_path / "a.parquet", {"d0": truths})], CLICK_SPEC, missing=[word])
    assert np.isnan(everything(typed).batch.dense[:, 0]).tolist() == [False, word == "False", False]


@pytest.mark.parametrize("type_", [pa.date32(), pa.timestamp("ns"), pa.timestamp("s", "UTC"), pa.string()], ids=str)
def test_a_word_that_is_a_date_stands_for_its_moment(tmp_path: Path, type_: Any) -> None:
    days = pa.array([datetime(1970, 1, 1), datetime(1970, 1, 2), None], pa.timestamp("s"))
    moments = days.cast(type_) if not pa.types.is_string(type_) else pa.array(["1970-01-01T00:00Z", "1970-01-02", ""])
    path = write_parquet(tmp_path / "a.parquet", {"d0": moments, "d1": [0.0, 1.0, 2.0]})
    source = FileClicks([path], CLICK_SPEC, missing=["1970-01-01"], timestamps=True)
    expected = np.array([[math.nan, 0], [86400, 1], [math.nan, 2]])
    assert np.array_equal(everything(source).batch.dense, expected, equal_nan=True)


NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
SECONDS = NOON.timestamp()
MOMENTS: list[Any] = [
    pa.array([NOON.replace(tzinfo=None)] * 3, pa.timestamp("s")),
    pa.array([NOON.replace(tzinfo=None)] * 3, pa.timestamp("us")),
    pa.array([NOON] * 3, pa.timestamp("ns", "Europe/Oslo")),
    pa.array([NOON] * 3, pa.timestamp("ms", "UTC")).dictionary_encode(),
    pa.array(
        ["2026-01-02T12:00:00Z", " 2026-01-02 12:00:00 ", NOON.astimezone(timezone(timedelta(hours=5))).isoformat()]
    ),
]


@pytest.mark.parametrize("array", MOMENTS, ids=lambda array: str(array.type))
def test_timestamps_as_numbers_on_request(tmp_path: Path, array: Any) -> None:
    path = write_parquet(tmp_path / "a.parquet", {"d1": array})
    source = FileClicks([path], CLICK_SPEC, timestamps=True)
    assert everything(source).batch.dense[:, 1].tolist() == [np.float32(SECONDS)] * 3
    assert golden_features(CLICK_SPEC, Rows(source, 0, 3))["d1"] == [SECONDS, SECONDS, SECONDS, -1, None]
    if pa.types.is_string(array.type):
        return
    with pytest.raises(ClickError) as refused:
        FileClicks([path], CLICK_SPEC)
    type_ = str(pq.read_schema(path).field("d1").type)
    type_ = type_.removeprefix("dictionary<values=").partition(", indices")[0]
    assert str(refused.value) == (
        f"a.parquet: column 'd1': its type is {type_}, which is not read as a number; "
        "--timestamps reads it as seconds since 1970"
    )


@pytest.mark.parametrize("type_", [pa.date32(), pa.date64()])
def test_dates_as_numbers(tmp_path: Path, type_: Any) -> None:
    days = pa.array([date(1970, 1, 2), None, date(1969, 12, 31)], type_)
    source = FileClicks([write_parquet(tmp_path / "a.parquet", {"d0": days})], CLICK_SPEC, timestamps=True)
    assert np.array_equal(everything(source).batch.dense[:, 0], [86400, math.nan, -86400], equal_nan=True)


def test_timestamps_of_text(tmp_path: Path) -> None:
    """Digits alone are a number, and what is no date is as bad as before."""
    moments = {"d0": ["1970-01-02", "20260102", "2026-13-01"], "d1": ["1970-01-01T00:00:01.5", "", "7"]}
    source = FileClicks([write_csv(tmp_path / "c.csv", moments)], CLICK_SPEC, timestamps=True)
    clicks = everything(source)
    assert np.array_equal(clicks.batch.dense, [[86400, 1.5], [20260102, math.nan]], equal_nan=True)
    assert list(source.bad.first.values()) == ["c.csv line 4: d0: '2026-13-01' is not a finite number"]


def test_timestamps_are_no_ids(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", {"f0": pa.array([NOON] * 3, pa.timestamp("us"))})
    with pytest.raises(ClickError, match=r"type is timestamp\[us\], which is not read as an integer id$"):
        FileClicks([path], CLICK_SPEC, timestamps=True)
