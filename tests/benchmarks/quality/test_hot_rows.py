"""The comparison that the record of hot rows rests on can be made again."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """Ratings as MovieLens-100k's lie in recbole's wheel, but 600."""
    random = np.random.default_rng(0)
    users, items, ratings = random.integers(1, 20, 600), random.zipf(1.5, 600).clip(max=30), random.integers(1, 6, 600)
    rows = zip(users, items, ratings, range(600), strict=True)
    lines = ["user\titem\trating\ttime", *("\t".join(map(str, row)) for row in rows)]
    path = tmp_path / "recbole.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("recbole/dataset_example/ml-100k/ml-100k.inter", "\n".join(lines))
    return path


@pytest.mark.proof
def test_shares_and_the_rule_are_compared_on_movielens_in_the_same_bytes(wheel: Path, tmp_path: Path) -> None:
    given = {"wheel": wheel, "compression": 4, "shares": 0.5, "seeds": 1, "results": tmp_path / "results"}
    options = [f"--{name}={value}" for name, value in given.items()]
    subprocess.run([sys.executable, "-m", "benchmarks.quality.hot_rows", "movielens", *options], check=True)
    runs = json.loads((tmp_path / "results" / "hot-rows-movielens-4.json").read_text())
    assert [run["model"] for run in runs] == ["none", "the rule", "50%"]
    largest = max(run["embedding_bytes"] for run in runs)
    assert all(largest * 0.95 < run["embedding_bytes"] <= largest for run in runs)
    assert [run["hot_ids"] > 0 for run in runs if run["model"] != "the rule"] == [False, True]
