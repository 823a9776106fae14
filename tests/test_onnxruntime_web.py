"""The artifact as it is, in the runtime that browsers use: under Node and in a browser."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from testing.artifacts import random_features, write_artifact
from testing.chromium import answer
from testing.data import DEMO
from testing.lookups import with_hot
from testing.samples import SEVEN_BAGS, SHARED, random_batch, small_spec
from thimble.export.artifact.agreement import numpy_scores
from thimble.export.artifact.graph import build, with_memory
from thimble.export.clicks.golden import golden_batch
from thimble.export.scoring.evaluate import read_spec
from thimble.models.features import Batch
from thimble.models.nn.registry import recommender
from thimble.models.quantization import MemoryPrecision

WEB = Path(__file__).parent / "web"

Scorer = Callable[[Path, Batch], list[float]]


@pytest.fixture(scope="module")
def node() -> str:
    """Node.js, with onnxruntime-web in WEB."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Node.js and npm are not installed")
    install = [npm, "ci", "--no-audit", "--no-fund", "--prefer-offline"]
    done = subprocess.run(install, cwd=WEB, capture_output=True, text=True, timeout=200)
    if done.returncode:
        pytest.skip(f"onnxruntime-web could not be installed: {done.stderr.strip()[-300:]}")
    return node


@pytest.fixture(params=["node", "chromium"])
def score(request: pytest.FixtureRequest, node: str, tmp_path: Path) -> Scorer:
    """Scores a batch with an artifact, in onnxruntime-web."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if request.param == "chromium" and chromium is None:
        pytest.skip("neither Chromium nor Chrome is installed")

    def under_node(artifact: Path, batch: Batch) -> list[float]:
        command = [node, str(WEB / "node.mjs"), str(artifact)]
        done = subprocess.run(command, input=as_json(batch), capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stderr
        return scores(done.stdout)

    def in_browser(artifact: Path, batch: Batch) -> list[float]:
        assert chromium is not None
        (tmp_path / "profile").mkdir()
        files = {"/model.onnx": artifact.read_bytes(), "/rows.json": as_json(batch).encode()}
        path, text = answer(chromium, WEB / "browser.html", files, tmp_path / "profile")
        assert path == "/scores", text
        return scores(text)

    return in_browser if request.param == "chromium" else under_node


def as_json(batch: Batch) -> str:
    """Rows as tests/web/scoring.mjs takes them."""
    dense = [None if np.isnan(x) else float(x) for x in batch.dense.ravel()]
    return json.dumps({"rows": len(batch.ids), "dense": dense, "ids": [str(i) for i in batch.ids.ravel()]})


def scores(text: str) -> list[float]:
    found: list[float] = json.loads(text)
    return found


@pytest.mark.parametrize("scheme", SHARED)
def test_golden_rows_of_every_scheme_score_as_written(scheme: str, score: Scorer, tmp_path: Path) -> None:
    path = write_artifact(small_spec(scheme, kinds=("string", "int", "hex")), tmp_path)
    assert_golden(path, score, tolerance=1e-5)


@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_golden_rows_of_few_bits_score_as_written(precision: MemoryPrecision, score: Scorer, tmp_path: Path) -> None:
    path = write_artifact(small_spec(precision=precision, kinds=("string", "int", "hex")), tmp_path)
    assert_golden(path, score, tolerance=1e-5)


@pytest.mark.parametrize("precision", ["fp32", "int4"])
def test_golden_rows_of_hot_and_other_ids_score_as_written(
    precision: MemoryPrecision, score: Scorer, tmp_path: Path
) -> None:
    plain = small_spec(precision=precision, kinds=("string", "int", "hex"))
    ids = golden_batch(plain, random_features(plain, 8)).ids
    spec, keys = with_hot(plain, list(ids[::2].T.copy()))
    path, cold = write_artifact(spec, tmp_path, hot=keys), write_artifact(spec, tmp_path)
    (golden, other) = (read_spec(it).golden for it in (path, cold))
    assert golden and other and not np.allclose(golden.table, other.table, atol=1e-3)
    assert_golden(path, score, tolerance=1e-5)


@pytest.mark.parametrize("precision", ["fp32", "int4"])
def test_bags_score_as_numpy_says(precision: MemoryPrecision, score: Scorer, tmp_path: Path) -> None:
    spec = small_spec(precision=precision, bags=SEVEN_BAGS)
    dlrm = recommender(spec).eval()
    weights = {name: tensor.numpy() for name, tensor in with_memory(dlrm, precision).state_dict().items()}
    onnx.save_model(build(spec, dlrm), tmp_path / "model.onnx")
    batch = random_batch(spec, 20)
    found = score(tmp_path / "model.onnx", batch)
    np.testing.assert_allclose(found, numpy_scores(spec, weights, batch), atol=1e-5)


def test_golden_rows_of_the_demo_score_as_written(score: Scorer) -> None:
    assert_golden(DEMO, score, tolerance=1e-3)


def assert_golden(path: Path, score: Scorer, tolerance: float) -> None:
    spec = read_spec(path)
    assert spec.golden is not None
    found = score(path, golden_batch(spec, spec.golden.features))
    np.testing.assert_allclose(found, spec.golden.table, atol=tolerance)
