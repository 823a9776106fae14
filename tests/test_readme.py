"""The README's commands, run as they are printed. `sh` blocks are run; the others are shown or checked otherwise."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from testing.data import DEMO
from testing.samples import write_csv
from testing.servers import SCRIPTS, running

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(heading: str, language: str = "sh") -> list[str]:
    section = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", README, re.M | re.S)
    assert section, f"the README has no section {heading!r}"
    return re.findall(rf"^```{language}\n(.*?)^```$", section.group(1), re.M | re.S)


def shell(script: str, folder: Path) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=folder, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_requests_shown_are_answered_as_shown(tmp_path: Path) -> None:
    requests, (shown,), (script,) = (blocks("Score rows", language) for language in ("sh", "json", "python"))
    assert len(requests) == 2
    with running(DEMO) as server:
        candidates, lines = (shell(r.replace("http://127.0.0.1:8000", server.url), tmp_path) for r in requests)
        script = script.replace("http://127.0.0.1:8000", server.url)
        printed = subprocess.check_output([sys.executable, "-c", script], text=True)
    by_client = [float(number) for number in re.findall(r"0\.\d+", printed)]
    assert by_client == pytest.approx(json.loads(shown)["scores"], abs=5e-3)
    assert json.loads(candidates)["scores"] == pytest.approx(json.loads(shown)["scores"], abs=5e-3)
    assert re.fullmatch(r'\{"model":"demo","version":1,"scores":\[0\.\d+\]\}', lines)


def test_own_clicks_are_trained_on_exported_and_served(tmp_path: Path) -> None:
    write_csv(tmp_path / "impressions.csv", 3000)
    (tmp_path / ".venv").symlink_to(SCRIPTS.parent)
    (commands,) = blocks("Train on your own clicks")
    output = shell(commands, tmp_path)
    assert "held out: AUC 0." in output and "artifacts/shop/1/model.onnx" in output
    with running(tmp_path / "artifacts") as server:
        server.wait_for_line("serving shop version 1")


def test_the_two_commands_are_targets_of_the_makefile() -> None:
    commands = [line.split("#")[0].strip() for line in blocks("Start", "")[0].splitlines()]
    assert commands == ["make run", "make test"]
    for target in ("run", "test"):
        subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True)


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\((?!http)([^)]+)\)", README):
        assert (ROOT / link).exists(), link
