"""Tables of the curve."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def run(model: str, times: int, seed: int, auc: float) -> dict[str, Any]:
    return {
        **{"model": model, "times": times, "seed": seed, "embedding_bytes": 100},
        "metrics": {"auc": auc, "normalised_entropy": 0.9},
        "validation": [{"log_loss": 0.5}],
        "history": [{"epoch": 1, "rows": 10, "auc": auc}],
    }


def test_an_interval_is_of_the_differences_seed_by_seed_however_many_there_are(tmp_path: Path) -> None:
    differences = {"of one": 1, "of two": 2, "of twelve": 12}
    runs = [run("full tables", 1, seed, 0.9 - seed / 30) for seed in range(12)]
    for model, seeds in differences.items():
        runs += [run(model, 10, seed, 0.89 - seed / 30 - seed / 100) for seed in range(seeds)]
    (tmp_path / "curve.json").write_text(json.dumps({"runs": runs}))
    command = [sys.executable, "-m", "benchmarks.quality.curve_table", str(tmp_path / "curve.json")]
    lines = subprocess.check_output(command, text=True).splitlines()
    shown = {line.split(" | ")[0].strip("| "): line.split(" | ")[5] for line in lines[3:]}
    assert shown == {"of one": "-0.0100", "of two": "-0.0150 ± 0.0635", "of twelve": "-0.0650 ± 0.0229"}
