"""Whatever hangs, SIGTERM ends the server."""

import fcntl
import json
import re
import shutil
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import httpx
import psutil

from testing.conditions import until
from testing.servers import SCRIPTS, START_SECONDS, Server

ADMIN_KEY = "an-admin-key-of-some-length"
SOON = ("--stop-timeout-s", "1")


def stop(server: Server) -> int:
    """The exit status after SIGTERM."""
    server.process.terminate()
    return server.wait()


def test_a_second_sigterm_ends_the_draining(small_artifact: Path) -> None:
    server = Server(small_artifact, "--port", "0", "--drain-s", "600")
    assert httpx.get(f"{server.url}/readyz").status_code == 200
    server.process.terminate()
    until(lambda: httpx.get(f"{server.url}/readyz").status_code == 503)
    assert stop(server) == 0
    assert server.lines[-1].endswith("stopped") and not [line for line in server.lines if "Traceback" in line]


def test_a_client_that_dawdles_is_cut_off_when_the_time_is_over(small_artifact: Path) -> None:
    arguments = ("--port", "0", "--read-timeout-s", "600", *SOON)
    server = Server(small_artifact, *arguments)
    url = httpx.URL(server.url)
    with socket.create_connection((url.host, url.port or 0)) as client:
        client.sendall(b"POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n")
        assert b"100 Continue" in client.recv(100)
        assert stop(server) == 1
    assert any("1 connections had not ended within 1 s and were cut off" in line for line in server.lines)


def test_a_release_that_hangs_is_given_up(small_artifact: Path, tmp_path: Path) -> None:
    for version in ("1", "2"):
        (tmp_path / "small" / version).mkdir(parents=True)
        shutil.copy(small_artifact, tmp_path / "small" / version / "model.onnx")
    (tmp_path / "small" / "release.json").write_text('{"live": 1}')
    environment = {"THIMBLE_ADMIN_KEYS": ADMIN_KEY}
    server = Server(tmp_path, "--port", "0", *SOON, env=environment)
    url = f"{server.url}/v1/models/small/release"

    def release() -> None:
        headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
        with suppress(httpx.TransportError):  # it is cut off
            httpx.put(url, content=json.dumps({"live": 2}), headers=headers, timeout=START_SECONDS)

    def sandboxes() -> list[psutil.Process]:
        processes = psutil.Process(server.process.pid).children(recursive=True)
        return [it for it in processes if any("sandbox" in word for word in it.cmdline())]

    asking = threading.Thread(target=release)
    asking.start()
    until(sandboxes)
    (sandbox,) = sandboxes()
    sandbox.suspend()
    assert stop(server) == 1
    until(lambda: not sandbox.is_running() or sandbox.status() == psutil.STATUS_ZOMBIE)
    asking.join()


def test_it_ends_although_nobody_reads_its_log(small_artifact: Path) -> None:
    command = [str(SCRIPTS / "thimble-serve"), str(small_artifact), "--port", "0", *SOON]
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
