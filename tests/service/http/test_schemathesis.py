"""Requests generated from the description of a running server: it answers as it says, and never with a 500."""

import shutil
import subprocess
from pathlib import Path

import pytest

from testing.servers import SCRIPTS, Server, running

CONFIG = Path(__file__).with_name("schemathesis.toml")
ROOT = Path(__file__).parents[3]


def run(server: Server, *options: str) -> None:
    tool: list[str | Path] = [SCRIPTS / "schemathesis", "--config-file", CONFIG]
    command = [*tool, "run", f"{server.url}/openapi.json", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def fuzz(server: Server, *options: str) -> None:
    before = len(server.lines)
    run(server, *options)
    for route in ("score", "infer"):
        assert any(f"/{route} 200" in line for line in server.lines[before:]), f"no {route} request was good"


def test_generated_requests_are_answered_as_described(server: Server) -> None:
    fuzz(server, "--max-examples", "20", "--exclude-path-regex", "/versions/")


def test_generated_changes_are_answered_as_described(small_artifact: Path, tmp_path: Path) -> None:
    shutil.copytree(small_artifact.parent, tmp_path / "m/1")
    key = "the-key-of-those-on-call"
    with running(tmp_path, env={"THIMBLE_ADMIN_KEYS": key}) as server:
        allowed = (
            "-H",
            f"Authorization: Bearer {key}",
            "--include-path-regex",
            "repository|/release|rollback|versions/{",
        )
        run(server, *allowed, "--max-examples", "10")
        assert any("/release 200" in line or "/index 200" in line for line in server.lines)


@pytest.mark.proof
def test_many_generated_requests_are_answered_as_described(server: Server) -> None:
    fuzz(server, "--max-examples", "300")
