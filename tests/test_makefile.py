"""What `make` says while it installs, before a pip that only talks."""

import subprocess
from pathlib import Path

import pytest

from tests.imports import ROOT

PIP = """#!/bin/sh
echo "Collecting numpy"
echo "WARNING: a mirror is slow" >&2
test -z "$BROKEN" || { echo "ERROR: no space left" >&2; exit 1; }
"""


@pytest.mark.parametrize("broken", ["", "yes"])
def test_installing_shows_progress_and_warnings_only_beside_a_failure(broken: str, tmp_path: Path) -> None:
    for name in (".venv", "bin"):
        (tmp_path / name).mkdir()
    for name, script in (("pip", PIP), ("python", "#!/bin/sh\n")):
        (tmp_path / "bin" / name).write_text(script)
        (tmp_path / "bin" / name).chmod(0o755)
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).touch()
    command: list[str | Path] = [
        "make",
        "-C",
        tmp_path,
        "-f",
        ROOT / "Makefile",
        ".venv/run",
        "BIN=bin",
        f"BROKEN={broken}",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.splitlines()[1:3] == [
        "installing what it needs into .venv, once; the first time takes minutes",
        "Collecting numpy",
    ]
    said = [line for line in done.stderr.splitlines() if not line.startswith("make: ")]
    assert said == (["WARNING: a mirror is slow", "ERROR: no space left"] if broken else [])
    assert bool(done.returncode) == bool(broken) == (not (tmp_path / ".venv" / "run").exists())
