"""Ten minutes of single faults, of which those who behave notice next to nothing."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS = 600


@pytest.mark.proof
@pytest.mark.timeout(SECONDS + 300)
@pytest.mark.skipif(os.getuid() != 0 or shutil.which("cc") is None, reason="a full disk needs root, a clock step cc")
def test_no_single_fault_takes_the_rest_along(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "benchmarks.operations.chaos",
        "--seconds",
        str(SECONDS),
        "--results",
        str(tmp_path),
    ]
    subprocess.run(command, check=True)
    ratios = json.loads((tmp_path / "chaos.json").read_text())["ratios"]
    assert ratios["answered"] >= 0.999
    assert ratios["wrong scores"] == 0
    assert ratios["longest wait, s"] <= 1
    assert ratios["longest until normal, s"] <= 5
    assert ratios["workers and readiness when the next fault came"] == 1
    assert ratios["memory, last tenth / first"] <= 1.1
    assert ratios["descriptors, last tenth / first"] <= 1.1
