"""The way back waits for nothing: neither for a file that hangs, nor for the disk."""

import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from testing.conditions import until
from testing.servers import Server
from tests.service.releases.operator import KEY, answers, bring, children, end_sandbox, put, score, serving, state
from thimble.service.releases.sandbox.host import TIMEOUT_SECONDS

# Far below what it would wait for, far above what it takes.
PATIENCE = 30
assert PATIENCE < TIMEOUT_SECONDS


@contextmanager
def pending(server: Server, client: httpx.Client, version: int) -> Iterator["Future[httpx.Response]"]:
    """A release of a version whose verification hangs for as long as this lasts."""
    with ThreadPoolExecutor(1) as pool:
        release = pool.submit(put, client, live=version)
        until(lambda: children(server))
        (process,) = children(server)
        process.suspend()
        yield release
        with suppress(psutil.NoSuchProcess):  # it was ended, as what was pending was
            process.kill()


def test_a_rollback_supersedes_the_release_that_hangs(repository: Path, versions: Path) -> None:
    with serving(repository) as (server, client), httpx.Client(base_url=server.url, timeout=PATIENCE) as operator:
        bring(repository, versions, 2, 3)
        assert put(client, live=2).json()["live"] == 2
        end_sandbox(server)
        with pending(server, client, 3) as release:
            assert operator.post("/v1/models/m/rollback", headers=KEY).json()["live"] == 1
            assert answers(operator) == 1
            refused = release.result(PATIENCE)
            assert refused.status_code == 409
            assert "a rollback of m came first; ask again if this is still wanted" in refused.json()["error"]
            until(lambda: not children(server))  # nothing of it is left
        assert sorted(path.name for path in (repository / "m").iterdir()) == ["1", "2", "3", "release.json"]
        assert put(client, live=3).json()["live"] == 3


def test_one_models_file_that_hangs_holds_up_no_other_model(repository: Path, versions: Path) -> None:
    shutil.copytree(versions, repository / "n")  # it has all versions, and 4 is live
    bring(repository, versions, 2)
    with serving(repository) as (server, client), httpx.Client(base_url=server.url, timeout=PATIENCE) as operator:
        bring(repository, versions, 3)
        with pending(server, client, 3):
            released = operator.put("/v1/models/n/release", json={"live": 2}, headers=KEY)
            assert released.status_code == 200, released.text
            content = (versions / "3/model.onnx").read_bytes()
            pushed = operator.put("/v1/models/o/versions/1", content=content, headers=KEY)
            assert pushed.status_code == 200, pushed.text
            assert operator.post("/v1/models/n/rollback", headers=KEY).json()["live"] == 4
            assert operator.post("/v2/repository/models/n/unload", headers=KEY).status_code == 200
            assert operator.post("/v2/repository/models/m/unload", headers=KEY).status_code == 200


def test_a_full_disk_does_not_hold_a_rollback_and_it_is_written_once_there_is_room(
    repository: Path, versions: Path
) -> None:
    with serving(repository) as (server, client):
        bring(repository, versions, 2)
        assert put(client, live=2).json()["live"] == 2
        process = psutil.Process(server.process.pid)
        unlimited = process.rlimit(psutil.RLIMIT_FSIZE)
        process.rlimit(psutil.RLIMIT_FSIZE, (5, unlimited[1]))
        answer = client.post("/v1/models/m/rollback", headers=KEY)
        assert answer.status_code == 507
        assert "it is in force, but will not outlast a restart" in answer.json()["error"]
        assert answers(client) == 1
        process.rlimit(psutil.RLIMIT_FSIZE, unlimited)
        until(lambda: '"live":1' in (repository / "m/release.json").read_text())
    with serving(repository) as (_, client):
        assert answers(client) == 1


def test_what_could_not_be_written_is_not_undone_by_what_is_written_there(repository: Path, versions: Path) -> None:
    bring(repository, versions, 2)
    with serving(repository, "--poll-s", "0.1") as (server, client):
        bring(repository, versions, 3)
        until(lambda: answers(client) == 3)
        process = psutil.Process(server.process.pid)
        process.rlimit(psutil.RLIMIT_FSIZE, (5, process.rlimit(psutil.RLIMIT_FSIZE)[1]))
        assert client.post("/v1/models/m/rollback", headers=KEY).status_code == 507
        bring(repository, versions, 4)  # the file says still that the newest is followed
        shutil.copytree(versions / "1", repository / "n/1")
        until(lambda: score(client, path="/v1/models/n/score").status_code == 200)
        assert score(client, path="/v1/models/m/score").json()["version"] == 2


def test_all_workers_go_back_although_nothing_can_be_written(repository: Path, versions: Path) -> None:
    with serving(repository, "--workers", "2") as (server, client):
        bring(repository, versions, 2)
        assert put(client, live=2).status_code == 200
        for process in psutil.Process(server.process.pid).children():
            process.rlimit(psutil.RLIMIT_FSIZE, (5, process.rlimit(psutil.RLIMIT_FSIZE)[1]))
        assert client.post("/v1/models/m/rollback", headers=KEY).status_code == 507
        for _ in range(4):
            with httpx.Client(base_url=server.url, timeout=PATIENCE) as other:
                assert answers(other) == 1


def test_workers_that_are_told_otherwise_at_the_same_time_agree(repository: Path, versions: Path) -> None:
    with serving(repository, "--workers", "2") as (server, client), ExitStack() as stack:
        bring(repository, versions, 2)
        operators = [stack.enter_context(httpx.Client(base_url=server.url, timeout=PATIENCE)) for _ in range(2)]
        asked = ("/v1/models/m/rollback", "/v2/repository/models/m/unload")
        with ThreadPoolExecutor(2) as pool:
            for _ in range(5):
                assert put(client, live=1).status_code == 200 and put(client, live=2).status_code == 200
                answered = [*pool.map(lambda it: it[0].post(it[1], headers=KEY), zip(operators, asked, strict=True))]
                assert {response.status_code for response in answered} <= {200, 409}, [it.text for it in answered]
                live = [state(operator)["live"] for operator in operators]
                assert live[0] == live[1]


@pytest.mark.parametrize("release", [{"live": 1}, {"live": 1, "shadow": {"version": 3}}, {}])
def test_the_end_of_a_canary_supersedes_what_hangs(
    repository: Path, versions: Path, release: dict[str, object]
) -> None:
    bring(repository, versions, 2)
    with serving(repository) as (server, client), httpx.Client(base_url=server.url, timeout=PATIENCE) as operator:
        assert put(client, live=1, canary={"version": 2, "weight": 0.5}).status_code == 200
        bring(repository, versions, 3)
        end_sandbox(server)
        with pending(server, client, 3) as hanging:
            ended = put(operator, **release)
            assert ended.status_code == 200 and ended.json()["canary"] is None
            assert hanging.result(PATIENCE).status_code == 409
