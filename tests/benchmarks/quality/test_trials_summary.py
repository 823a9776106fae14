"""The record of what was tried says what the results say."""

import subprocess
import sys
from pathlib import Path

RECORD = Path(__file__).parents[3] / "docs/adr/0022-small-array.md"


def test_the_record_has_the_tables_that_the_results_give() -> None:
    command = [sys.executable, "-m", "benchmarks.quality.trials.summary"]
    assert subprocess.check_output(command, text=True) in RECORD.read_text()
