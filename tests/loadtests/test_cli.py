import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from testing.processes import free_port
from testing.servers import SCRIPTS, Server
from thimble.loadtests.results.run import Run


def thimble_load(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from thimble.loadtests.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=200)


def test_a_run_prints_its_steps_and_the_generators_ceiling(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "load.json"
    options = ("--shape", "spike", "--rate", "20,80", "--seconds", "0.5", "--seed", "7", "--encoding", "tsv")
    done = thimble_load("run", f"{server.url}/", *options, "--results", path, "--max-p99-ms", "5000")
    assert done.returncode == 0, done.stderr
    begun, *steps = done.stderr.splitlines()
    assert begun == "measuring for some seconds what the generator itself can send"
    assert [re.sub(r"^[\d.]+ s gone, ", "", line) for line in steps] == [
        "1.5 s left: 20 requests/s for 0.5 s",
        "1 s left: 80 requests/s for 0.5 s",
        "0.5 s left: 20 requests/s for 0.5 s",
    ]
    run = Run.read(path)
    assert run.passed
    assert run.traffic.seed == 7
    assert run.served["name"] == "small"
    assert run.ceiling is not None
    assert [step.ok for step in run.steps] == [10, 40, 10]
    lines = done.stdout.splitlines()
    assert lines[0].split()[0] == "offered/s"
    assert [line.split()[0] for line in lines[1:4]] == ["20.0", "80.0", "20.0"]
    assert not run.golden
    assert lines[4:] == [
        "scores were checked by one that the server gave; with a key, from THIMBLE_KEY, by one of the model's file",
        f"generator's ceiling: {run.ceiling:.0f} requests/s, the most that it can send here itself",
        "error share: 0, limit 0: kept",
        f"p99 ms: {run.gates[1].found:.4g}, limit 5000: kept",
        "complete",
        f"results: {path}",
    ]


def test_a_gate_that_is_not_kept_sets_the_exit_status(server: Server, tmp_path: Path) -> None:
    options = ("--rate", "20", "--seconds", "1", "--results", tmp_path / "load.json", "--ceiling", "21")
    done = thimble_load("run", server.url, *options, "--max-p99-ms", "0.001")
    assert done.returncode == 1
    assert "limit 0.001: NOT KEPT" in done.stdout
    assert "above 80% of the generator's ceiling" in done.stdout


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--shape", "spike"], 2, "the shape spike takes 2 rates, not 1"),
        (["--rows", "0"], 2, "--rows 0: input should be greater than 0"),
        (["--clicks", "nowhere.tsv"], 1, "cannot read clicks from nowhere.tsv"),
        (["--model", "other"], 1, "serves no model other"),
        (["--results", "/proc/none/load.json"], 1, "cannot write /proc/none/load.json: No such file or directory"),
        (["--results", "/dev/null"], 1, "cannot write /dev/null: it is no file"),
    ],
)
def test_what_cannot_be_run_is_said_in_one_line(
    server: Server, tmp_path: Path, options: list[str], status: int, message: str
) -> None:
    done = thimble_load("run", server.url, "--ceiling", "1000", "--results", tmp_path / "load.json", *options)
    assert done.returncode == status
    assert done.stdout + done.stderr == done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("thimble-load: ")
    assert message in line


def test_a_file_with_something_else_is_not_overwritten(server: Server, tmp_path: Path) -> None:
    notes = tmp_path / "notes.json"
    notes.write_text('{"mine": true}')
    for command in (["run", server.url, "--ceiling", "1000"], ["compare", server.url, server.url]):
        done = thimble_load(*command, "--results", notes)
        assert done.returncode == 1
        assert done.stderr == f"thimble-load: {notes} holds something else than such results, and is not overwritten\n"
    assert notes.read_text() == '{"mine": true}'


def test_no_server_is_said_in_one_line(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = thimble_load("run", url, "--results", tmp_path / "load.json")
    assert done.returncode == 1
    _, line = done.stderr.splitlines()  # the first says that the generator is measured
    assert line.startswith(f"thimble-load: no server answers at {url}: ")
    done = thimble_load("run", "127.0.0.1:8000", "--results", tmp_path / "load.json")
    assert (
        done.stderr.splitlines()[1]
        == "thimble-load: 127.0.0.1:8000 is no URL of a server, such as http://127.0.0.1:8000"
    )


def test_flags_are_checked() -> None:
    assert thimble_load("run").returncode == 2
    assert thimble_load().returncode == 2
    for option, value in (("--shape", "round"), ("--seconds", "long"), ("--connections", "0"), ("--processes", "two")):
        assert thimble_load("run", "http://127.0.0.1:1", option, value).returncode == 2
    assert "find" not in thimble_load("--help").stderr


def test_a_folder_with_modules_of_the_users_own_is_no_obstacle(server: Server, tmp_path: Path) -> None:
    for name in ("models.py", "service.py", "export/__init__.py", "locust.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("raise ImportError('not what was asked for')")
    command = [
        str(SCRIPTS / "thimble-load"),
        "run",
        server.url,
        "--rate",
        "20",
        "--seconds",
        "1.5",
        "--ceiling",
        "1000",
    ]
    screen, terminal = pty.openpty()
    done = subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=terminal, text=True, timeout=200)
    shown = os.read(screen, 1 << 16).decode()
    os.close(screen)
    os.close(terminal)
    assert done.returncode == 0, shown
    assert Run.read(tmp_path / "load.json").passed
    # on a terminal one line, which is written over and gone at the end
    assert re.search(r"\r\x1b\[K[\d.]+ s gone, 1.5 s left: 20 requests/s for 1.5 s\r\x1b\[K[\d.]+ s gone, 0", shown)
    assert shown.endswith("\x1b[K") and "\n" not in shown
