import json
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from testing.samples import criteo_spec, small_spec
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.generate import GeneratedClicks
from thimble.export.clicks.golden import GOLDEN_ROWS, golden_batch, golden_features
from thimble.export.clicks.rows import Rows
from thimble.models.presets import preset
from thimble.models.spec import ModelSpec


def test_golden_rows_are_held_out_rows_one_of_negative_numbers_and_one_with_everything_missing(tmp_path: Path) -> None:
    spec = small_spec(dense=2, kinds=("int", "hex", "string"))
    lines = [f"{i % 2}\t{i / 4}\t{'' if i % 2 else -i}\t{i}\t{i:x}\tword {i}" for i in range(100)]
    lines[52] = "nonsense"
    (tmp_path / "clicks").write_text("\n".join(lines) + "\n")
    source = FileClicks([tmp_path / "clicks"], spec)
    features = golden_features(spec, Rows(source, 50, 100))
    assert all(len(column) == GOLDEN_ROWS for column in features.values())
    assert [features[name][:3] for name in spec.feature_names] == [
        [12.5, 12.75, 13.25],
        [-50, None, None],
        [50, 51, 53],
        ["32", "33", "35"],
        ["word 50", "word 51", "word 53"],
    ]
    assert [column[-2:] for column in features.values()] == [[-1, None]] * 2 + [[None, None]] * 3
    batch = golden_batch(spec, json.loads(json.dumps(features)))
    (read,) = source.read(50, 82, 100)
    assert np.array_equal(batch.ids[:-2], read.batch.ids)
    assert np.array_equal(batch.dense[:-2], read.batch.dense, equal_nan=True)


def test_fewer_held_out_rows_than_golden_ones(tmp_path: Path) -> None:
    spec = small_spec(dense=1, kinds=("int",))
    (tmp_path / "clicks").write_text("0\t1\t1\n1\t2\t2\n")
    features = golden_features(spec, Rows(FileClicks([tmp_path / "clicks"], spec), 0, 2))
    assert features == {"d0": [1, 2, -1, None], "f0": [1, 2, None, None]}


def test_numbers_beyond_64_bits_are_sent_as_they_are_read(tmp_path: Path) -> None:
    spec = small_spec(dense=1, kinds=("int",))
    (tmp_path / "clicks").write_text("0\t1e20\t1\n1\t-1e30\t2\n")
    features = golden_features(spec, Rows(FileClicks([tmp_path / "clicks"], spec), 0, 2))
    assert orjson.loads(orjson.dumps(features))["d0"] == [1e20, -1e30, -1, None]


@pytest.mark.parametrize("spec", [criteo_spec(), preset("feed")], ids=["criteo", "feed"])
def test_generated_clicks_as_a_client_would_send_them(spec: ModelSpec) -> None:
    source = GeneratedClicks(spec, 100, 0)
    features = golden_features(spec, Rows(source, 50, 100))
    batch = golden_batch(spec, features)
    (made,) = source.read(50, 81, 31)
    assert np.array_equal(batch.ids[:-2], made.batch.ids)
    assert np.array_equal(batch.dense[:-2], made.batch.dense, equal_nan=True)
    for field in spec.fields:
        kinds = {type(value) for value in features[field.name] if value is not None}
        assert kinds == {str if field.kind == "hex" else int}


def test_parquet_rows(tmp_path: Path) -> None:
    spec = small_spec(dense=1, kinds=("int", "string"))
    data = {"label": [0, 1], "d0": [float("nan"), 1.5], "f0": [3.0, float("nan")], "f1": ["a", None]}
    pq.write_table(pa.table(data), tmp_path / "a.parquet")
    features = golden_features(spec, Rows(FileClicks([tmp_path / "a.parquet"], spec), 0, 2))
    assert features == {"d0": [None, 1.5, -1, None], "f0": [3.0, None, None, None], "f1": ["a", None, None, None]}
