"""Killed at random moments again and again, a run ends with the weights that it would have had."""

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from testing.conditions import until
from testing.samples import write_csv
from tests.export.training.test_train import command, same_weights

KILLS = 20
START_SECONDS = 120
# At most so long after a run has gone on; in so much time it saves often, and trains but a part of what there is.
LONGEST_SECONDS = 0.3


@pytest.mark.proof
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "options",
    [
        ["--memory", "4000", "--memory-precision", "fp32"],
        ["--memory", "1000000"],
        ["--memory", "4000"],
        ["--memory", "1500", "--hot-rows", "auto"],
        ["--scheme", "full"],
    ],
    ids=" ".join,
)
def test_a_run_that_is_killed_twenty_times(tmp_path: Path, options: list[str]) -> None:
    """All of the array updated or what a batch touches, 4 bits, hot rows, full tables. Every fifth may meet a start."""
    csv = write_csv(tmp_path / "clicks.csv", 30_000)
    checkpoint = tmp_path / "killed" / "checkpoint.pt"
    seed = time.time_ns()
    print(f"seed {seed}")
    moments = random.Random(seed)
    for kill in range(KILLS):
        before = _changed(checkpoint)
        with subprocess.Popen(
            command(csv, tmp_path / "killed", *options), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            if kill % 5:
                until(lambda before=before: _changed(checkpoint) != before, START_SECONDS)  # type: ignore[misc]
                time.sleep(moments.uniform(0, LONGEST_SECONDS))
            else:
                time.sleep(moments.uniform(0, 10 * LONGEST_SECONDS))
            process.kill()
        assert process.returncode == -signal.SIGKILL, f"it was over before kill {kill}"
    for folder in ("killed", "whole"):
        subprocess.run(command(csv, tmp_path / folder, *options), capture_output=True, check=True)
    assert same_weights(tmp_path / "killed", tmp_path / "whole")


def _changed(path: Path) -> int:
    """When, in ns; 0 where there is none."""
    return path.stat().st_mtime_ns if path.exists() else 0
