import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from testing.clicks import CLICK_SPEC, everything, numbers
from thimble.export.click_files import FileClicks
from thimble.export.clicks import ClickError
from thimble.models.spec import ModelSpec


@pytest.fixture
def spec() -> ModelSpec:
    return CLICK_SPEC


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
