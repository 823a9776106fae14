"""What `make run` starts and prints."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, STDOUT

import pytest

from testing.artifacts import write_artifact
from testing.processes import free_port
from testing.samples import small_spec
from testing.servers import SCRIPTS
from tests.imports import ROOT


@contextmanager
def started(repository: Path, port: int | str) -> Iterator[subprocess.Popen[str]]:
    """The command of `make run`, with another repository."""
    makefile = subprocess.check_output(["make", "-n", "run", f"PORT={port}", "BIN=BIN"], cwd=ROOT, text=True)
    command = makefile[makefile.index("BIN/python -m thimble") :].replace("\\\n", " ")
    words = [word.replace("BIN", str(SCRIPTS)) for word in command.split()]
    words[words.index("artifacts")] = str(repository)
    words[0] = sys.executable
    env = {**os.environ, "HTTP_PROXY": "http://127.0.0.1:1"}  # which is not asked for what is on this machine
    with subprocess.Popen(words, stdout=PIPE, stderr=STDOUT, text=True, env=env) as process:
        try:
            yield process
        finally:
            process.kill()


def printed(process: subprocess.Popen[str]) -> str:
    """All until the last line of what is shown first."""
    assert process.stdout
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("stop it:"):
            return "".join(lines)
    raise AssertionError("".join(lines))


@pytest.mark.parametrize("names", [("one",), ("one", "other")])
def test_its_line_for_curl_gives_that_very_score(names: tuple[str, ...], tmp_path: Path) -> None:
    for name in names:
        write_artifact(small_spec(kinds=("string", "int", "hex")), tmp_path, name, 1)
    with started(tmp_path, port := free_port()) as process:
        output = printed(process)
        (score,) = re.findall(r"^first score: (0\.\d+), ", output, re.M)
        (line,) = re.findall(r"^try it: +(curl .*)$", output, re.M)
        answer = subprocess.check_output(["bash", "-c", line], text=True, stderr=subprocess.DEVNULL)
        assert json.loads(answer)["scores"] == [float(score)] and score in answer
        assert re.findall(r"(?i)error|warn|traceback|golden|not found", output) == []

        with started(tmp_path, port) as second:
            said, _ = second.communicate(timeout=60)
        assert second.returncode == 1
        assert said == (
            f"something answers at http://127.0.0.1:{port} already, perhaps a first start of this: "
            "stop it, or choose another port\n"
        )
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert rest.splitlines()[-1].endswith("INFO stopped")


@pytest.mark.parametrize(("port", "reason"), [("80000", "port"), ("many", "port"), (None, "no such file or folder")])
def test_it_ends_with_a_server_that_cannot_start(port: str | None, reason: str, tmp_path: Path) -> None:
    with started(tmp_path / "none", port or free_port()) as process:
        said, _ = process.communicate(timeout=60)  # at an end when both are
    assert process.returncode
    assert reason in said and "Traceback" not in said and "first score" not in said
