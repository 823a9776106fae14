"""docs/own-models.md as it is read: another project's model class, as it is on PyPI, from clicks to served scores."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest

from testing.servers import running

PAGE = Path(__file__).parents[1] / "docs" / "own-models.md"
FOLDER = Path(__file__).parents[1] / "build" / "deepctr-torch"
PACKAGES = [
    *("deepctr-torch==0.3.0", "scikit-learn==1.9.1", "scipy==1.17.1", "joblib==1.6.0", "threadpoolctl==3.8.0"),
    *("cloudpickle==3.1.3", "narwhals==2.29.0"),
]
MOST_LINES = 40
# Beside the page's own: what the model itself says of some rows.
PREDICTED = """
import json, pathlib
some = {"user": np.array([7, 8, 4999]), "item": np.array([3, 4, 199]), "hour": np.array([0.9, 0.1, 0.5])}
pathlib.Path("predicted.json").write_text(json.dumps(model.predict(some, 16)[:, 0].tolist()))
"""


@pytest.fixture(scope="module")
def deepctr() -> Path:
    """The project's package and what it needs, where they can be had."""
    if not (FOLDER / "deepctr_torch").exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(FOLDER), *PACKAGES]
        done = subprocess.run(pip, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"deepctr-torch cannot be installed: {done.stderr.strip()[-300:]}")
    return FOLDER


def test_the_page_takes_a_public_model_to_served_scores(deepctr: Path, tmp_path: Path) -> None:
    (script,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len([line for line in script.splitlines() if line.strip()]) < MOST_LINES
    done = subprocess.run(
        [sys.executable, "-c", script + PREDICTED],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(deepctr)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "models/shop/1/model.onnx" in done.stdout
    assert float(re.findall(r"val_auc: +([0-9.]+)", done.stdout)[-1]) > 0.6
    expected = json.loads((tmp_path / "predicted.json").read_text())
    body = {"features": {"user": [7, 8, 4999], "item": [3, 4, 199], "hour": [0.9, 0.1, 0.5]}}
    with running(tmp_path / "models") as server:
        scores = httpx.post(f"{server.url}/v1/score", json=body).raise_for_status().json()["scores"]
        never_seen = httpx.post(f"{server.url}/v1/score", json={"features": {"user": 1 << 59}})
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    assert never_seen.status_code == 200
