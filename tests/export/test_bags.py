"""A model with bags from generated clicks to a file that scores as the trained model does."""

from pathlib import Path

import numpy as np
import pytest

from testing.samples import criteo_spec, with_bags
from thimble.export.artifact.agreement import TOLERANCE, onnx_scores, onnx_session
from thimble.export.artifact.graph import with_memory
from thimble.export.artifact.pipeline import export
from thimble.export.clicks.generate import GeneratedClicks
from thimble.export.clicks.rows import Parts, Rows
from thimble.export.training.checkpoint import load_trained
from thimble.export.training.evaluation import score
from thimble.export.training.hot_rows import with_hot_rows
from thimble.export.training.recipe import Recipe
from thimble.export.training.train import train
from thimble.models.quantization import MemoryPrecision
from thimble.models.spec import MlpPrecision, Precision

ROWS, TRAINED = 6000, 5000


@pytest.mark.parametrize(
    ("scheme", "precision", "mlps", "hot"),
    [
        ("block", "fp16", "fp16", False),
        ("block", "int4", "int8", True),
        ("robe-v2", "fp32", "fp32", False),
        ("full", "fp32", "fp32", False),
    ],
)
def test_trained_exported_and_scored(
    scheme: str, precision: MemoryPrecision, mlps: MlpPrecision, hot: bool, tmp_path: Path
) -> None:
    spec = with_bags(criteo_spec(scheme, memory=80_000, precision=precision))
    source = GeneratedClicks(spec, ROWS, seed=0)
    rows, held_out = Rows(source, 0, TRAINED), Rows(source, TRAINED, ROWS)
    learnt = with_hot_rows(spec, rows)
    assert (learnt.keys is not None) == (scheme == "block")
    metrics = train(
        learnt.spec if hot else spec,
        Parts(rows, held_out),
        Recipe(batch_size=128, epochs=2, dense_lr=3e-3, sparse_lr=1e-2),
        tmp_path / "run",
        keys=learnt.keys if hot else None,
    )
    assert metrics.auc is not None and metrics.auc > 0.55
    trained = load_trained(tmp_path / "run")
    exported = export(trained, tmp_path / "artifacts", precision=Precision(memory=precision, mlps=mlps))
    clicks = next(held_out.read(500))
    found = onnx_scores(onnx_session(str(exported.path)), clicks.batch)
    expected = score(with_memory(trained.dlrm, precision), clicks.batch)
    np.testing.assert_allclose(found, expected, atol=TOLERANCE[mlps])
    assert exported.spec.golden and isinstance(exported.spec.golden.features["C1"][0], list)
    assert any(isinstance(value, str) for value in exported.spec.golden.features["C2"])
