"""What the process that tries a file may take, and what it is given."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from testing.artifacts import never_end, take_memory, write_artifact
from testing.conditions import until
from testing.samples import small_spec
from testing.servers import Server, running
from tests.service.releases.operator import ADMIN, ENV, KEY, answers, children

SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "secret-of-the-cloud",
    "THIMBLE_API_KEYS": "secret-of-those-who-score",
    "DATABASE_URL": "postgres://user:secret-of-the-database@host",
    "NVIDIA_API_KEY": "secret-of-the-vendor",
}
Serving = tuple[Server, httpx.Client]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("limits")
    write_artifact(small_spec(), folder, "m", 1)
    return folder


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[Serving]:
    key = {"Authorization": f"Bearer {SECRETS['THIMBLE_API_KEYS']}"}
    with (
        running(repository, env={**ENV, **SECRETS}) as server,
        httpx.Client(base_url=server.url, timeout=60, headers=key) as client,
    ):
        yield server, client


@pytest.fixture
def harmful(tmp_path: Path) -> Callable[[Callable[[Path], None]], bytes]:
    """The bytes of a model to which something was done."""

    def make(harm: Callable[[Path], None]) -> bytes:
        path = write_artifact(small_spec(), tmp_path, "m", 1)
        harm(path)
        return path.read_bytes()

    return make


Harmful = Callable[[Callable[[Path], None]], bytes]


def push(client: httpx.Client, content: bytes) -> httpx.Response:
    return client.put("/v1/models/m/versions/2", content=content, headers=KEY)


def test_a_file_that_takes_much_memory_is_refused(server: Serving, harmful: Harmful) -> None:
    """As much as this machine has, but a server's container has not."""
    _, client = server
    refused = push(client, harmful(lambda path: take_memory(path, 3)))
    assert refused.status_code == 400
    assert "version 2 of m: needs more than the 2320 MiB of memory that it may take" in refused.json()["error"]
    assert answers(client) == 1


def test_a_file_that_takes_processor_time_without_end_is_refused(server: Serving, harmful: Harmful) -> None:
    running_server, client = server
    with ThreadPoolExecutor(1) as pool:
        pushed = pool.submit(push, client, harmful(never_end))

        def refused() -> bool:
            """It would take 300 s, so the process's own limit is brought nearer."""
            for process in children(running_server):
                with suppress(psutil.NoSuchProcess):
                    soft, hard = process.rlimit(psutil.RLIMIT_CPU)
                    if soft != hard and process.cpu_times().user > 2:
                        process.rlimit(psutil.RLIMIT_CPU, (1, hard))
            return pushed.done()

        until(refused)
        assert pushed.result().status_code == 400
        assert "used more than 300 s of processor time" in pushed.result().json()["error"]
    assert answers(client) == 1


def test_the_process_is_given_nothing_that_it_does_not_need(server: Serving, harmful: Harmful) -> None:
    running_server, client = server
    assert push(client, harmful(lambda path: None)).status_code == 200
    (process,) = children(running_server)  # it stays for another file
    environment = process.environ()
    assert not set(environment.values()) & {*SECRETS.values(), ADMIN}
    assert not [name for name in environment if name.startswith(("THIMBLE_", "AWS_"))]
    assert environment["PATH"] == os.environ["PATH"]
    assert process.cwd() == "/"
    assert sorted(int(entry.name) for entry in Path(f"/proc/{process.pid}/fd").iterdir()) == [0, 1, 2]


def test_the_process_writes_no_file_and_opens_few(server: Serving, harmful: Harmful) -> None:
    running_server, client = server
    push(client, harmful(lambda path: None))
    (process,) = children(running_server)
    assert process.rlimit(psutil.RLIMIT_FSIZE)[0] == process.rlimit(psutil.RLIMIT_CORE)[0] == 0
    assert 0 < process.rlimit(psutil.RLIMIT_NOFILE)[0] <= 256
