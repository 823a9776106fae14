"""Servers under load, and Locust, always in processes of their own: gevent must not patch the one that tests run in."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from testing.artifacts import write_artifact
from testing.samples import small_spec
from testing.servers import Server, running

Stub = Callable[..., AbstractContextManager[str]]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A model with three numbers and fields of each kind."""
    repository = tmp_path_factory.mktemp("models")
    write_artifact(small_spec(kinds=("string", "string", "int", "hex")), repository, "small", 1)
    with running(repository) as running_server:
        yield running_server


@pytest.fixture(scope="session")
def stub() -> Stub:
    """Starts tests.loadtests.stub with some options, gives its URL and stops it."""

    @contextmanager
    def started(*options: str) -> Iterator[str]:
        command = [sys.executable, "-m", "tests.loadtests.stub", *options]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            try:
                yield process.stdout.readline().strip()
            finally:
                process.kill()

    return started


@contextmanager
def locust(*options: str | Path, file: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """A Locust process over our locustfile, killed at the end if it still runs."""
    path = file or Path("loadtests/locustfile.py")
    command = [sys.executable, "-m", "locust", "-f", str(path), *map(str, options)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield process
        finally:
            process.kill()
