"""Requests generated from the description of a running server: it answers as it says, and never with a 500."""

import subprocess
from pathlib import Path

import pytest

from tests.servers import SCRIPTS, Server

CONFIG = Path(__file__).with_name("schemathesis.toml")
ROOT = Path(__file__).parents[2]


def fuzz(server: Server, *options: str) -> None:
    before = len(server.lines)
    tool: list[str | Path] = [SCRIPTS / "schemathesis", "--config-file", CONFIG]
    command = [*tool, "run", f"{server.url}/openapi.json", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for route in ("score", "infer"):
        assert any(f"/{route} 200" in line for line in server.lines[before:]), f"no {route} request was good"


def test_generated_requests_are_answered_as_described(server: Server) -> None:
    fuzz(server, "--max-examples", "20", "--exclude-path-regex", "/versions/")


@pytest.mark.proof
def test_many_generated_requests_are_answered_as_described(server: Server) -> None:
    fuzz(server, "--max-examples", "300")
