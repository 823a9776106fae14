from pathlib import Path

import numpy as np
import onnx
import pytest

from testing.samples import criteo_spec
from thimble.export.artifact.graph import EXTERNAL_DATA, ExportError
from thimble.export.artifact.untrained import export_untrained, resized
from thimble.models.presets import preset
from thimble.models.schemes.full import FullEmbedding
from thimble.models.spec import ModelSpec
from thimble.service.engine.artifact import read_artifact
from thimble.service.engine.engine import Engine


@pytest.fixture
def full() -> ModelSpec:
    return criteo_spec("full", rows=5000)


def test_full_tables_lie_beside_the_model_and_are_served(full: ModelSpec, tmp_path: Path) -> None:
    done = export_untrained(full, tmp_path, seed=3)
    assert done.path == tmp_path / "criteo-small/1/model.onnx"
    assert done.agreement.numpy_onnx < 1e-5
    assert isinstance(full.embedding, FullEmbedding)
    weights = done.path.with_name(EXTERNAL_DATA)
    assert done.path.stat().st_size < 100_000 < full.embedding_bytes <= weights.stat().st_size
    onnx.checker.check_model(str(done.path))
    artifact = read_artifact(done.path, 1 << 20)
    Engine(artifact, "cpu", threads=1, native=None)  # refuses golden rows that score otherwise
    assert artifact.spec.golden and len(artifact.spec.golden.scores) == 33


def test_tables_are_drawn_as_dlrm_draws_them(full: ModelSpec, tmp_path: Path) -> None:
    path = export_untrained(full, tmp_path).path
    model = onnx.load(path)
    tables = [t for t in model.graph.initializer if t.name.startswith("dlrm.sparse_arch.tables.")]
    assert len(tables) == 26
    table = next(onnx.numpy_helper.to_array(t) for t in tables if t.dims[0] == 5000)
    bound = np.sqrt(1 / 5000)
    assert 0.99 * bound < np.abs(table).max() <= bound * (1 + 1e-6)
    assert abs(float(table.mean())) < 0.02 * bound


def test_the_same_seed_gives_the_same_files(full: ModelSpec, tmp_path: Path) -> None:
    one, same, other = (export_untrained(full, tmp_path, seed=seed).path for seed in (1, 1, 2))
    for name in (EXTERNAL_DATA, "model.onnx"):
        assert one.with_name(name).read_bytes() == same.with_name(name).read_bytes()
    assert one.with_name(EXTERNAL_DATA).read_bytes() != other.with_name(EXTERNAL_DATA).read_bytes()


def test_a_compressed_model_is_one_file(tmp_path: Path) -> None:
    path = export_untrained(criteo_spec(), tmp_path).path
    assert [p.name for p in path.parent.iterdir()] == ["model.onnx"]
    Engine(read_artifact(path, 1 << 20), "cpu", threads=1, native=None)


def test_a_version_is_never_overwritten(full: ModelSpec, tmp_path: Path) -> None:
    export_untrained(full, tmp_path, version=4)
    with pytest.raises(ExportError, match="criteo-small/4 exists"):
        export_untrained(full, tmp_path, version=4)


@pytest.mark.parametrize("rows", [5000, 3_000_000])
def test_tables_of_another_size_keep_their_proportions(rows: int) -> None:
    spec = preset("criteo-kaggle")
    whole = sum(field.rows for field in spec.fields)
    smaller = resized(spec, rows)
    assert sum(field.rows for field in smaller.fields) == pytest.approx(rows, rel=0.02)
    assert smaller.fields[2].rows == round(spec.fields[2].rows * rows / whole)
    assert all(now.rows >= min(then.rows, 3) for now, then in zip(smaller.fields, spec.fields, strict=True))
    assert smaller.embedding == spec.embedding
