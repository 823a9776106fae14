"""Real click data, where the machine has it, and the model that is committed."""

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("THIMBLE_DATA", Path(__file__).parents[2] / "shared" / "data"))
CRITEO_LINES = DATA / "criteo_1tb_1k" / "criteoTab.tsv"
DEMO = Path(__file__).parents[1] / "artifacts" / "demo" / "1" / "model.onnx"
OPEN_BANDIT = DATA / "open_bandit" / "clicks.csv.gz"


def needs(path: Path) -> pytest.MarkDecorator:
    """Skip, saying so, where a file is absent."""
    return pytest.mark.skipif(not path.exists(), reason=f"{path} is absent; THIMBLE_DATA says where real data lies")
