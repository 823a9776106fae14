"""Docker's command line, and the stack of docker-compose.yml on ports of its own.

Builds take what DOCKER_BUILD_FLAGS says, for example --network host or --build-arg PIP_FIND_LINKS=URL.
"""

import json
import os
import shlex
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from testing.load import Run, open_loop
from testing.messages import NAME, single_rows
from testing.processes import free_port

ROOT = Path(__file__).parents[1]
IMAGE = "thimble:cpu"
LOCKED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", "10001")
WAIT_SECONDS = 120
CONNECTIONS = 32
ROW = {"features": {"I1": 3, "C1": "68fd1e64"}}


class DockerError(RuntimeError):
    """A command of Docker's that failed, with what it said."""


def docker(*arguments: str, env: dict[str, str] | None = None) -> str:
    """What the command writes. DockerError."""
    return command("docker", *arguments, env=env)


def command(*words: str, env: dict[str, str] | None = None) -> str:
    """What a command writes that is run in the repository's root. DockerError."""
    done = subprocess.run(words, cwd=ROOT, env={**os.environ, **(env or {})}, capture_output=True, text=True)
    if done.returncode:
        raise DockerError(f"{shlex.join(words)}: {done.stderr.strip()[-2000:]}")
    return done.stdout.strip()


def problem() -> str | None:
    """Why there is no Docker here, or None."""
    try:
        docker("info")
    except (OSError, DockerError) as error:
        return f"no Docker daemon answers: {str(error).splitlines()[-1]}"
    return None


def version() -> str:
    """Of the daemon."""
    return docker("version", "--format", "{{.Server.Version}}")


def build(target: str = "cpu") -> str:
    """The image of a target, built."""
    flags = shlex.split(os.environ.get("DOCKER_BUILD_FLAGS", ""))
    docker("build", "--quiet", *flags, "--target", target, "--tag", f"thimble:{target}", ".")
    return f"thimble:{target}"


def inspect(name: str) -> dict[str, Any]:
    """Of a container or an image."""
    found: dict[str, Any] = json.loads(docker("inspect", name))[0]
    return found


def address_of(container: str) -> str:
    """The URL by which this machine reaches a container's server."""
    (network,) = inspect(container)["NetworkSettings"]["Networks"].values()
    return f"http://{network['IPAddress']}:8000"


def wait_for(condition: Callable[[], bool], what: str, seconds: float = WAIT_SECONDS, pause: float = 0.05) -> float:
    """Returns how many seconds it took. TimeoutError."""
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        with suppress(httpx.TransportError):
            if condition():
                return time.perf_counter() - start
        time.sleep(pause)
    raise TimeoutError(f"{what}: not within {seconds} s")


def scores(url: str) -> bool:
    """Whether the server at a URL gives a score."""
    return httpx.post(f"{url}/v1/score", json=ROW, timeout=5).status_code == 200


class Stack:
    """The services of docker-compose.yml, in a project of their own."""

    def __init__(self, project: str) -> None:
        self.port, self.prometheus_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = {
            "COMPOSE_PROJECT_NAME": project,
            "THIMBLE_ADDRESS": f"127.0.0.1:{self.port}",
            "PROMETHEUS_ADDRESS": f"127.0.0.1:{self.prometheus_port}",
        }

    def compose(self, *arguments: str) -> str:
        return docker("compose", *arguments, env=self.env)

    def up(self, replicas: int, *services: str) -> None:
        """Until all are healthy."""
        self.compose("up", "--detach", "--wait", "--no-build", "--scale", f"thimble={replicas}", *services)

    def down(self) -> None:
        self.compose("--profile", "*", "down", "--volumes", "--timeout", "10")

    def roll(self) -> None:
        """Every replica replaced."""
        command("deploy/rollout.sh", env=self.env)

    def replicas(self) -> list[str]:
        """Ids of the containers that run."""
        return self.compose("ps", "--quiet", "thimble").split()

    def write_version(self, version: int) -> float:
        """Another copy of the demo model, put into the volume whole. Returns when, as time.time()."""
        code = (
            "import os, shutil, time; "
            f"shutil.copytree('/models/{NAME}/1', '/models/{NAME}/.new'); "
            f"os.replace('/models/{NAME}/.new', '/models/{NAME}/{version}'); "
            "print(time.time())"
        )
        return float(self.compose("run", "--rm", "--no-deps", "--entrypoint", "python", "models", "-c", code))

    def versions(self) -> list[int]:
        """What each replica answers with."""
        return [httpx.post(f"{url}/v1/score", json=ROW).json()["version"] for url in self.addresses()]

    def addresses(self) -> list[str]:
        """URLs of the replicas themselves."""
        return [address_of(replica) for replica in self.replicas()]

    def scraped(self) -> int:
        """How many replicas Prometheus has found well."""
        answer = httpx.get(f"http://127.0.0.1:{self.prometheus_port}/api/v1/targets").json()
        return sum(target["health"] == "up" for target in answer["data"]["activeTargets"])


@contextmanager
def stack(project: str, replicas: int, *services: str) -> Iterator[Stack]:
    """A stack that runs, gone with its volumes at the end."""
    made = Stack(project)
    try:
        made.up(replicas, *services)
        yield made
    finally:
        made.down()


@contextmanager
def loaded(stack: Stack, rate: float) -> Iterator[list[Run]]:
    """Single rows at so many requests/s, golden ones among them, while the block runs. The list is whole after it."""
    runs: list[Run] = []
    requests, stopped = single_rows(), threading.Event()

    def offer() -> None:
        while not stopped.is_set():
            runs.append(open_loop(("127.0.0.1", stack.port), requests, rate, 2, CONNECTIONS, warmup=0))

    thread = threading.Thread(target=offer)
    thread.start()
    try:
        yield runs
    finally:
        stopped.set()
        thread.join()


def outcome(runs: list[Run]) -> dict[str, Any]:
    """Requests, those without a right answer, and the 99th percentile in ms of each 2 seconds' run."""
    counts: dict[str, int] = {}
    for run in runs:
        for status, count in run.counts.items():
            counts[str(status)] = counts.get(str(status), 0) + count
    return {
        "requests": sum(counts.values()),
        "failed": sum(run.failures for run in runs),
        "counts": counts,
        "p99_ms": [round(run.percentile(99) * 1e3, 2) for run in runs],
    }
