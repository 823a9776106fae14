"""The trade-off's script hands on what is not its own."""

import subprocess
import sys

import pytest


@pytest.mark.proof
def test_what_begins_like_an_option_of_the_script_is_none_of_its_own() -> None:
    command = [sys.executable, "-m", "benchmarks.quality.tradeoff", "kaggle", "--ru", "runs/kaggle"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and "required: --run" in done.stderr
