"""What `make run` prints."""

import re
import shlex
import socket
import subprocess
import sys
from subprocess import PIPE

import httpx
import pytest

from testing.servers import Server

MODULE = "thimble.client.first_score"


def test_its_line_for_curl_scores(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # which has no part, as the server is on this machine
    done = subprocess.run([sys.executable, "-m", MODULE, server.url], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^first score: 0\.\d{4}, ", done.stdout, re.MULTILINE)
    (line,) = re.findall(r"curl .*", done.stdout)
    _, url, _, header, _, body = shlex.split(line)
    answer = httpx.post(url, content=body, headers=dict([header.split(": ")]), trust_env=False)
    assert answer.status_code == 200 and len(answer.json()["scores"]) == 1


def test_it_ends_with_a_server_that_could_not_start() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = f"{sys.executable} -m {MODULE} http://127.0.0.1:{listener.getsockname()[1]} & read line"
        parent = subprocess.Popen(["sh", "-c", command], stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True)
        listener.accept()[0].close()  # it asks, so it knows its parent
    assert parent.communicate("\n", timeout=60) == ("", "")  # at an end when both are
