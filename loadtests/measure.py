"""Load tests from Python. Locust patches the standard library, so each runs in a process of its own."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from thimble.loadtests.generate.pacing import Pacing
from thimble.loadtests.generate.shapes import Name
from thimble.loadtests.options import PARENT, traffic_arguments
from thimble.loadtests.ports import free_port
from thimble.loadtests.results.files import claim
from thimble.loadtests.results.run import Run, Step
from thimble.loadtests.traffic.requests import Traffic

LOCUSTFILE = Path(__file__).with_name("locustfile.py")
CONNECTIONS = 100
CEILING_SECONDS = 1.5
CEILING_WAIT = 0.5
ABOVE_ANY_CEILING = 40_000
START_SECONDS = 60


class MeasureError(Exception):
    """A load test that could not begin, or was cut short."""


def run(
    url: str,
    traffic: Traffic,
    shape: Name,
    rates: Sequence[float],
    seconds: float = 10,
    *,
    connections: int = CONNECTIONS,
    pacing: Pacing = "poisson",
    timeout_s: float = 10,
    max_p99_ms: float | None = None,
    max_error_share: float = 0,
    ceiling: float | None = None,
    results: Path | None = None,
    locust: Sequence[str] = (),
) -> Run:
    """A load test, whatever became of it: look at `complete` and `reason`. The arguments are those of the command.

    `shape` is constant (one rate), step (rates one after the other), spike (base and peak), diurnal (trough and peak)
    or knee (where to begin, and `max_p99_ms`); each step takes `seconds`. `rates` are in requests/s. `locust` are
    further options of Locust's. MeasureError: it could not begin.
    """
    limits = {"--max-p99-ms": max_p99_ms, "--ceiling": ceiling}
    arguments = [
        *("--host", url, *traffic_arguments(traffic), "--shape", shape, "--rate", ",".join(map(str, rates))),
        *("--seconds", str(seconds), "--pacing", pacing, "--timeout-s", str(timeout_s)),
        *("--max-error-share", str(max_error_share), "--users", str(connections)),
        *(text for name, limit in limits.items() if limit is not None for text in (name, str(limit))),
        *locust,
    ]
    with tempfile.TemporaryDirectory(prefix="thimble-load-") as folder:
        path = results or Path(folder, "load.json")
        process = start(arguments, path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            _, errors = process.communicate()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
        found = outcome(process.returncode, path)
    if found is None:
        raise MeasureError(_last_line(errors.decode()))
    return found


def measure(url: str, traffic: Traffic, rate: float, seconds: float, *, connections: int = CONNECTIONS) -> Step:
    """Offers `rate` requests/s for so many seconds. MeasureError: cut short, or never begun."""
    return measure_rates(url, traffic, [rate], seconds, connections=connections)[0]


def measure_rates(
    url: str, traffic: Traffic, rates: Sequence[float], seconds: float, *, connections: int = CONNECTIONS
) -> list[Step]:
    """A step for each rate, one after the other; quicker than one by one. MeasureError as above."""
    return _completed(run(url, traffic, "step", rates, seconds, connections=connections)).steps


def find_knee(
    url: str,
    traffic: Traffic,
    limit_ms: float,
    *,
    start: float = 50,
    seconds: float = 3,
    connections: int = CONNECTIONS,
    max_error_share: float = 0,
    ceiling: float | None = None,
) -> Run:
    """Doubles the rate until p99 breaks the limit, then closes in on it: `knee` of what it returns, requests/s.

    Every rate tried is among its steps, in the order tried. MeasureError as above.
    """
    return _completed(
        run(
            url,
            traffic,
            "knee",
            [start],
            seconds,
            connections=connections,
            max_p99_ms=limit_ms,
            max_error_share=max_error_share,
            ceiling=ceiling,
        )
    )


def ceiling(like: str, traffic: Traffic, *, connections: int = CONNECTIONS, locust: Sequence[str] = ()) -> float:
    """Requests/s of such traffic that the generator reaches on this machine against a server that does nothing.

    `like` is the URL of the server whose answers it imitates. MeasureError: there is no such server.
    """
    with stub_server(like, traffic) as url:
        found = run(
            url,
            traffic,
            "constant",
            [ABOVE_ANY_CEILING],
            CEILING_SECONDS,
            connections=connections,
            timeout_s=CEILING_WAIT,
            max_error_share=1,
            locust=locust,
        )
    return _completed(found).steps[0].achieved


@contextmanager
def stub_server(like: str, traffic: Traffic) -> Iterator[str]:
    """The URL of a server with canned answers to such traffic. MeasureError: `like`, a URL, is no server."""
    module = [sys.executable, "-P", "-m", "thimble.loadtests.stub"]
    command = [*module, "--like", like.rstrip("/"), *traffic_arguments(traffic)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as stub:
        assert stub.stdout and stub.stderr
        try:
            if not (url := stub.stdout.readline().strip()):
                raise MeasureError(_last_line(stub.stderr.read()))
            yield url
        finally:
            stub.kill()


def in_processes(count: int) -> list[str]:
    """Options with which Locust generates load in so many processes, on a port of their own."""
    port = str(free_port())
    return ["--processes", str(count), "--master-bind-port", port, "--master-port", port] if count > 1 else []


def start(
    arguments: Sequence[str], results: Path, stdout: int | None = None, stderr: int | None = None
) -> subprocess.Popen[bytes]:
    """Locust in a process and a session of its own, headless. It stops when its parent is gone.

    LoadError: the results have no place.
    """
    claim(results, Run.read)
    results.unlink(missing_ok=True)
    command = [sys.executable, "-P", "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--skip-log-setup"]
    command += ["--users", str(CONNECTIONS), "--spawn-rate", "100", *arguments, "--results", str(results)]
    # select counts in microseconds where epoll, gevent's own choice, counts in milliseconds
    environment = {**os.environ, "GEVENT_BACKEND": "select", PARENT: str(os.getpid())}
    return subprocess.Popen(
        command, stdout=stdout, stderr=stderr, stdin=subprocess.DEVNULL, env=environment, start_new_session=True
    )


def outcome(status: int, results: Path) -> Run | None:
    """What a process that has ended left behind; says so where it was killed. None if it had not begun."""
    if not results.exists():
        return None
    found = Run.read(results)
    if found.going_on:
        found.reason = f"the generator was killed by signal {-status}" if status < 0 else f"it ended with {status}"
        found.write(results)
    return found


def _last_line(errors: str) -> str:
    """What a process that gave up says at the end."""
    return errors.strip().rpartition("\n")[2] or "the load generator ended without a word"


def _completed(run: Run) -> Run:
    if not run.complete:
        raise MeasureError(f"the load test was cut short: {run.reason}")
    return run
