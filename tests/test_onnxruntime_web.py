"""The artifact as it is, in the runtime that browsers use, here under Node."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from export.evaluate import read_spec
from export.golden import golden_batch
from tests.artifacts import write_artifact
from tests.data import DEMO
from tests.samples import SHARED, small_spec

WEB = Path(__file__).parent / "web"


@pytest.fixture(scope="module")
def node() -> str:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Node.js and npm are not installed")
    install = [npm, "ci", "--no-audit", "--no-fund", "--prefer-offline"]
    done = subprocess.run(install, cwd=WEB, capture_output=True, text=True, timeout=200)
    if done.returncode:
        pytest.skip(f"onnxruntime-web could not be installed: {done.stderr.strip()[-300:]}")
    return node


@pytest.mark.parametrize("scheme", SHARED)
def test_golden_rows_of_every_scheme_score_as_written(scheme: str, node: str, tmp_path: Path) -> None:
    path = write_artifact(small_spec(scheme, kinds=("string", "int", "hex")), tmp_path)
    assert_golden(path, node, tolerance=1e-5)


def test_golden_rows_of_the_demo_score_as_written(node: str) -> None:
    assert_golden(DEMO, node, tolerance=1e-3)


def assert_golden(path: Path, node: str, tolerance: float) -> None:
    spec = read_spec(path)
    assert spec.golden is not None
    batch = golden_batch(spec, spec.golden.features)
    rows = {
        "rows": len(batch.ids),
        "dense": [None if np.isnan(x) else float(x) for x in batch.dense.ravel()],
        "ids": [str(i) for i in batch.ids.ravel()],
    }
    command = [node, str(WEB / "score.mjs"), str(path)]
    done = subprocess.run(command, input=json.dumps(rows), capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(json.loads(done.stdout), spec.golden.scores, atol=tolerance)
