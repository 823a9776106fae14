"""An hour of load and releases, after which nothing has grown."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS = 3600
# The threads of asyncio.to_thread, which appear as calls happen to overlap, and stay.
POOL_THREADS = min(32, (os.cpu_count() or 1) + 4)


@pytest.mark.proof
@pytest.mark.timeout(SECONDS + 600)
def test_nothing_grows_in_an_hour(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "benchmarks.operations.soak",
        "--seconds",
        str(SECONDS),
        "--results",
        str(tmp_path),
    ]
    subprocess.run(command, check=True)
    found = json.loads((tmp_path / "soak.json").read_text())
    assert found["load"]["wrong"] == 0 and set(found["load"]["counts"]) <= {"200", "429"}
    assert found["releases"] >= SECONDS // 120
    growth = found["growth"]
    assert growth["rss_mib"]["last"] <= 1.05 * growth["rss_mib"]["first"]
    assert growth["descriptors"]["last"] <= growth["descriptors"]["first"] + 2
    assert growth["threads"]["last"] <= growth["threads"]["first"] + POOL_THREADS
