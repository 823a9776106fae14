"""What the HEALTHCHECK of containers runs."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from testing.certificates import Authority
from testing.servers import Server, running

ADMIN_KEY = "an-admin-key-for-tests"


def probe(port: int, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "thimble.service.probe"]
    env = {**os.environ, "THIMBLE_PORT": str(port), **env}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=30)


def port_of(server: Server) -> int:
    return httpx.URL(server.url).port or 0


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::"])
def test_a_server_that_is_ready(small_artifact: Path, host: str) -> None:
    with running(small_artifact, "--host", host) as server:
        done = probe(port_of(server), THIMBLE_HOST=host)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_server_that_speaks_tls(small_artifact: Path, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with running(small_artifact, *authority.flags) as server:
        assert probe(port_of(server), THIMBLE_TLS_CERT=str(authority.cert)).returncode == 0
        done = probe(port_of(server))
    assert done.returncode == 1 and "no answer from 127.0.0.1" in done.stderr


def test_a_server_that_is_not_ready_says_why(tmp_path: Path) -> None:
    with running(tmp_path, env={"THIMBLE_ADMIN_KEYS": ADMIN_KEY}) as server:
        done = probe(port_of(server))
    assert done.returncode == 1 and "no model is loaded" in done.stderr


def test_no_server_at_all() -> None:
    done = probe(1)
    assert done.returncode == 1 and done.stderr.startswith("no answer from 127.0.0.1 port 1: ")
