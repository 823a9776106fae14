"""What is left when something is killed half-way."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from testing.conditions import until
from testing.processes import free_port
from testing.servers import Server
from tests.loadtests.conftest import Stub, locust
from thimble.loadtests.results.gates import CUT_SHORT
from thimble.loadtests.results.run import Run

WAIT_SECONDS = 30
LOAD = ("--rate", "50", "--seconds", "60")
Locust = subprocess.Popen[str]


def thimble_load(*options: str | Path) -> subprocess.Popen[str]:
    code = "from thimble.loadtests.cli import main; main()"
    command = [sys.executable, "-c", code, "run", *map(str, options)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@contextmanager
def cluster(server: Server, results: Path, workers: int) -> Iterator[tuple[Locust, list[Locust]]]:
    """A master and its workers under load."""
    port = str(free_port())
    master = ("--master", "--master-bind-port", port, "--expect-workers", str(workers), "--headless", "-u", "8")
    with ExitStack() as stack:
        leader = stack.enter_context(locust(*master, "-r", "8", *LOAD, "--results", results, "--host", server.url))
        yield leader, [stack.enter_context(locust("--worker", "--master-port", port)) for _ in range(workers)]


def wait_for_requests(results: Path) -> None:
    until(lambda: results.exists() and any(step.ok for step in Run.read(results).steps))


def check(results: Path, output: str, reason: str) -> Run:
    run = Run.read(results)
    assert not run.complete
    assert run.reason is not None
    assert reason in run.reason
    assert run.steps[-1].ok > 0
    assert f"PARTIAL: {run.reason}" in output
    assert "Traceback" not in output
    return run


def test_the_server_is_killed(stub: Stub, tmp_path: Path) -> None:
    results = tmp_path / "load.json"
    with stub() as url:
        process = thimble_load(url, *LOAD, "--results", results, "--ceiling", "1000")
        wait_for_requests(results)
    output, _ = process.communicate(timeout=WAIT_SECONDS)
    run = check(results, output, "the server stopped answering after")
    assert run.steps[-1].failed.keys() <= {
        "no answer: connection refused",
        "no answer: connection reset by peer",
        "no answer: connection closed.",
    }
    assert process.returncode == CUT_SHORT


@pytest.mark.parametrize(("number", "processes"), [(signal.SIGTERM, 1), (signal.SIGINT, 2)])
def test_the_command_is_stopped(server: Server, tmp_path: Path, number: signal.Signals, processes: int) -> None:
    results = tmp_path / "load.json"
    more = ("--ceiling", "1000", "--processes", str(processes))
    process = thimble_load(server.url, *LOAD, "--results", results, *more)
    wait_for_requests(results)
    process.send_signal(number)
    output, _ = process.communicate(timeout=WAIT_SECONDS)
    run = check(results, output, "it was stopped before its end")
    assert run.generators == processes
    assert process.returncode == CUT_SHORT


def test_the_generator_is_killed(server: Server, tmp_path: Path) -> None:
    results = tmp_path / "load.json"
    process = thimble_load(server.url, *LOAD, "--results", results, "--ceiling", "1000")
    wait_for_requests(results)
    (generator,) = psutil.Process(process.pid).children()
    generator.kill()
    output, _ = process.communicate(timeout=WAIT_SECONDS)
    check(results, output, "the generator was killed by signal 9")
    assert process.returncode == CUT_SHORT


def test_the_command_is_killed_and_its_generator_ends(server: Server, tmp_path: Path) -> None:
    results = tmp_path / "load.json"
    process = thimble_load(server.url, *LOAD, "--results", results, "--ceiling", "1000")
    wait_for_requests(results)
    (generator,) = psutil.Process(process.pid).children()
    process.kill()
    output, _ = process.communicate(timeout=WAIT_SECONDS)
    generator.wait(WAIT_SECONDS)
    check(results, output, "the process that started it is gone")


def test_workers_are_killed(server: Server, tmp_path: Path) -> None:
    """One of two, and the only one, whose master Locust alone would leave waiting for ever."""
    with cluster(server, tmp_path / "two.json", 2) as two, cluster(server, tmp_path / "one.json", 1) as one:
        for name, (_, workers) in (("two", two), ("one", one)):
            wait_for_requests(tmp_path / f"{name}.json")
            workers[0].kill()
        for name, (leader, workers) in (("two", two), ("one", one)):
            output, _ = leader.communicate(timeout=WAIT_SECONDS)
            assert leader.returncode == CUT_SHORT
            run = check(tmp_path / f"{name}.json", output, f"1 of {len(workers)} workers lost after")
            assert run.generators == len(workers)
            for worker in workers:
                worker.wait(WAIT_SECONDS)


def test_a_server_that_hangs_is_given_up(stub: Stub, tmp_path: Path) -> None:
    """What it has not answered in time counts as failed."""
    results = tmp_path / "load.json"
    with stub() as url:
        process = thimble_load(url, *LOAD, "--results", results, "--ceiling", "1000", "--timeout-s", "0.5")
        wait_for_requests(results)
        (hung,) = (found for found in psutil.Process().children() if "tests.loadtests.stub" in found.cmdline())
        hung.suspend()
        output, _ = process.communicate(timeout=WAIT_SECONDS)
    run = check(results, output, "the server stopped answering after")
    assert run.steps[-1].failed.keys() == {"no answer: timed out"}
    assert process.returncode == CUT_SHORT
