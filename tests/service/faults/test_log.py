"""What takes the log stops taking it: nobody waits for that, and what is lost is told."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from testing.conditions import until
from testing.load import closed_loop
from testing.messages import post
from testing.processes import free_port
from testing.servers import SCRIPTS, Server, running

CONNECTIONS = 8
ROW = b'{"features": {}}'
# Each worker keeps 4 MiB of lines: some 20,000 for two, which a busy machine takes minutes for.
FILL_SECONDS = 180
# Such lines are long, so that fewer are enough.
IDS = [f"{'x' * 124}{number:03d}" for number in range(512)]


@contextmanager
def logging_to(
    descriptor: int | None, *arguments: str | Path
) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    """A server whose standard error is this, or closed. It has to end by itself after SIGTERM, with status 0."""
    port = str(free_port())
    closed = ["sh", "-c", 'exec "$@" 2>&-', "sh"] if descriptor is None else []
    flags = ["--port", port, "--drain-s", "0", "--log-format", "json"]
    command = [*closed, SCRIPTS / "thimble-serve", *arguments, *flags]
    process = subprocess.Popen(command, stderr=descriptor, start_new_session=True)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:

            def ready() -> bool:
                try:
                    return client.get("/readyz").status_code == 200
                except httpx.ConnectError:
                    return False

            until(ready)
            yield process, client
        process.terminate()
        assert process.wait(30) == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def lost(client: httpx.Client) -> int:
    (value,) = re.findall(r"^thimble_log_lines_lost_total (\S+)$", client.get("/metrics").text, re.M)
    return int(float(value))


def ask_until_lines_are_lost(client: httpx.Client) -> int:
    """Score until the log has no room. Returns how many requests were answered, all of them rightly."""
    requests = [post("/v1/score", ROW, {"Content-Type": "application/json", "X-Request-Id": name}) for name in IDS]
    address = (str(client.base_url.host), client.base_url.port or 0)
    answered = 0

    def fill() -> bool:
        nonlocal answered
        run = closed_loop(address, requests, CONNECTIONS, 1, warmup=0)
        assert not run.failures, run.summary()
        answered += len(run.status)
        return lost(client) > 0

    until(fill, FILL_SECONDS)
    return answered


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_pipe_that_nobody_reads_does_not_stop_scoring(small_artifact: Path, workers: str) -> None:
    reader, writer = os.pipe()
    with logging_to(writer, small_artifact, "--workers", workers) as (process, client):
        os.close(writer)
        answered = ask_until_lines_are_lost(client)
        assert answered > 5_000
        with os.fdopen(reader, "rb") as pipe:  # somebody reads again
            lines = []
            for line in pipe:
                lines.append(json.loads(line))
                if told := re.match(r"(\d+) log lines were lost", lines[-1]["message"]):
                    break
            assert told and int(told[1]) > 0
            process.terminate()
            lines += map(json.loads, pipe)
    told_of = [int(found[1]) for line in lines if (found := re.match(r"(\d+) log lines were lost", line["message"]))]
    scored = [line for line in lines if line.get("path") == "/v1/score"]
    assert len(scored) + sum(told_of) == answered
    assert lines[-1]["message"] == "stopped"


def test_a_pipe_that_nobody_reads_does_not_hold_up_the_end(small_artifact: Path) -> None:
    reader, writer = os.pipe()
    with logging_to(writer, small_artifact) as (_, client):
        os.close(writer)
        ask_until_lines_are_lost(client)
    os.close(reader)


@pytest.mark.parametrize("broken", ["full disk", "no reader"])
def test_lines_that_cannot_be_written_cost_no_answer(small_artifact: Path, broken: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    descriptor = os.open("/dev/full", os.O_WRONLY) if broken == "full disk" else writer
    with logging_to(descriptor, small_artifact) as (_, client):
        assert client.post("/v1/score", content=ROW).status_code == 200
        until(lambda: lost(client) > 0)
    for end in {descriptor, writer}:
        os.close(end)


def test_a_server_may_have_no_standard_error(small_artifact: Path) -> None:
    with logging_to(None, small_artifact) as (_, client):
        assert client.post("/v1/score", content=ROW).status_code == 200
        assert lost(client) == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_last_lines_are_there_and_in_order(small_artifact: Path, workers: str) -> None:
    names = [f"request-{number}" for number in range(300)]
    with (
        running(small_artifact, "--workers", workers, "--log-format", "json") as server,
        httpx.Client(base_url=server.url) as client,
    ):
        for name in names:
            assert client.post("/v1/score", content=ROW, headers={"X-Request-Id": name}).status_code == 200
        server.process.send_signal(signal.SIGINT)
        assert server.wait() == 0
    lines = [json.loads(line) for line in server.lines]
    assert [line["request_id"] for line in lines if "request_id" in line] == names
    assert lines[-1]["message"] == "stopped"


def test_why_it_cannot_start_is_said(tmp_path: Path) -> None:
    server = Server(tmp_path / "nothing")
    assert server.wait() == 1
    assert len(server.lines) == 1 and "nothing" in server.lines[0]
