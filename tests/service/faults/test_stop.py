"""Whatever hangs, SIGTERM ends the server."""

import fcntl
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from testing.conditions import until
from testing.servers import SCRIPTS, START_SECONDS, Server, running, workers
from tests.service.faults.processes import held_up

ADMIN_KEY = "an-admin-key-of-some-length"
SOON = ("--stop-timeout-s", "1")


def stop(server: Server) -> int:
    """The exit status after SIGTERM."""
    server.process.terminate()
    return server.wait()


@pytest.mark.parametrize("count", [1, 2])
def test_it_ends_although_a_worker_is_stopped_and_its_channel_full(small_artifact: Path, count: int) -> None:
    server = Server(small_artifact, "--port", "0", "--workers", "2", "--no-access-log")
    url = httpx.URL(server.url)
    children = workers(server)
    for child in children[:count]:
        child.suspend()
    with ExitStack() as stack:
        for _ in range(700):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex((url.host, url.port or 0))
        assert stop(server) == 1
    assert not any(child.is_running() for child in children)
    assert f"{count} of the workers" in server.lines[-1]


def test_it_ends_while_workers_load(small_artifact: Path) -> None:
    server = Server(small_artifact, "--port", "0", "--workers", "2")
    until(lambda: len(workers(server)) == 2)
    children = workers(server)
    with ExitStack() as stack:
        for child in children:
            stack.enter_context(held_up(child))  # so that they load until they are killed
        server.process.terminate()
    assert server.wait() == 0
    assert not any(child.is_running() for child in children)


def test_a_second_sigterm_ends_the_draining(small_artifact: Path) -> None:
    server = Server(small_artifact, "--port", "0", "--workers", "2", "--drain-s", "600")
    assert httpx.get(f"{server.url}/readyz").status_code == 200
    server.process.terminate()
    until(lambda: httpx.get(f"{server.url}/readyz").status_code == 503)
    assert stop(server) == 0
    assert server.lines[-1].endswith("stopped") and not [line for line in server.lines if "Traceback" in line]


@pytest.mark.parametrize("count", [1, 2])
def test_a_client_that_dawdles_is_cut_off_when_the_time_is_over(small_artifact: Path, count: int) -> None:
    arguments = ("--port", "0", "--workers", str(count), "--read-timeout-s", "600", *SOON)
    server = Server(small_artifact, *arguments)
    url = httpx.URL(server.url)
    with socket.create_connection((url.host, url.port or 0)) as client:
        client.sendall(b"POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n")
        assert b"100 Continue" in client.recv(100)
        assert stop(server) == 1
    assert any("1 connections had not ended within 1 s and were cut off" in line for line in server.lines)


@pytest.mark.parametrize("count", [1, 2])
def test_a_release_that_hangs_is_refused(small_artifact: Path, tmp_path: Path, count: int) -> None:
    for version in ("1", "2"):
        (tmp_path / "small" / version).mkdir(parents=True)
        shutil.copy(small_artifact, tmp_path / "small" / version / "model.onnx")
    (tmp_path / "small" / "release.json").write_text('{"live": 1}')
    environment = {"THIMBLE_ADMIN_KEYS": ADMIN_KEY}
    server = Server(tmp_path, "--port", "0", "--workers", str(count), *SOON, env=environment)
    url = f"{server.url}/v1/models/small/release"

    answers: list[httpx.Response] = []

    def release() -> None:
        headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
        answers.append(httpx.put(url, content=json.dumps({"live": 2}), headers=headers, timeout=START_SECONDS))

    def sandboxes() -> list[psutil.Process]:
        processes = psutil.Process(server.process.pid).children(recursive=True)
        return [it for it in processes if any("sandbox" in word for word in it.cmdline())]

    asking = threading.Thread(target=release)
    asking.start()
    until(sandboxes)
    (sandbox,) = sandboxes()
    sandbox.suspend()
    assert stop(server) == 0
    until(lambda: not sandbox.is_running() or sandbox.status() == psutil.STATUS_ZOMBIE)
    asking.join()
    assert [(it.status_code, it.json()) for it in answers] == [(503, {"error": "the server is shutting down"})]


def test_workers_end_although_nobody_reads_their_log(small_artifact: Path) -> None:
    command = [str(SCRIPTS / "thimble-serve"), str(small_artifact), "--port", "0", "--workers", "2", *SOON]
    command += ["--drain-s", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        fcntl.fcntl(process.stderr, fcntl.F_SETPIPE_SZ, 4096)
        found = next(match for line in process.stderr if (match := re.search(r"at (http://\S+)", line)))
        # until it waits for its log to be read, if ever
        with httpx.Client(base_url=found[1], timeout=1) as client, suppress(httpx.TimeoutException):
            for _ in range(500):
                client.get("/healthz")
        process.terminate()
        try:
            process.wait(START_SECONDS)
        finally:
            process.kill()


HANG = """
import re
from thimble.service.process.deadline import end_within
end_within(60)
end_within(0.1)
re.match("(a+)+b", "a" * 64)  # holds the interpreter's lock for years
"""


def test_a_process_ends_within_its_deadline_whatever_it_hangs_in() -> None:
    done = subprocess.run([sys.executable, "-c", HANG], timeout=START_SECONDS, capture_output=True)
    assert done.returncode == 1 and done.stderr == b""


def test_a_worker_that_is_killed_while_the_server_drains_is_said_by_the_exit_status(small_artifact: Path) -> None:
    with running(small_artifact, "--workers", "2", "--drain-s", "600") as server:
        victim = workers(server)[0]
        server.process.terminate()
        until(lambda: httpx.get(f"{server.url}/readyz").status_code == 503)
        victim.send_signal(signal.SIGKILL)
        server.wait_for_line(f"worker {victim.pid} ended with status -9 while the server stopped")
        assert httpx.get(f"{server.url}/healthz").status_code == 200
    assert server.process.returncode == 1
