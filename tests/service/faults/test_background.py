"""What goes on beside requests goes on whatever happens to it once."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from testing.conditions import until
from tests.service.releases.operator import KEY, answers, bring, children, metric, put, score, serving, state


@contextmanager
def few_descriptors(pid: int, spare: int) -> Iterator[None]:
    """A process can open so many files more for as long as this lasts."""
    process = psutil.Process(pid)
    limit = process.rlimit(psutil.RLIMIT_NOFILE)
    process.rlimit(psutil.RLIMIT_NOFILE, (process.num_fds() + spare, limit[1]))
    yield
    process.rlimit(psutil.RLIMIT_NOFILE, limit)


# Enough for nothing, to look at the repository, and to begin with a sandbox process.
@pytest.mark.parametrize("spare", [0, 1, 4])
def test_polling_goes_on_after_a_want_of_descriptors_and_blames_no_version(
    repository: Path, versions: Path, spare: int
) -> None:
    with serving(repository, "--poll-s", "0.1") as (server, client):
        assert answers(client) == 1
        with few_descriptors(server.process.pid, spare):
            bring(repository, versions, 2)
            server.wait_for_line("Too many open files; it is tried again at the next look")
        until(lambda: answers(client) == 2)  # the same version, which was not to blame
        assert state(client)["refused"] == {} and client.get("/readyz").status_code == 200
        assert metric(client, "thimble_background_failures_total", task="polling") > 0
        bring(repository, versions, 3)
        until(lambda: answers(client) == 3)


def test_a_release_for_which_files_are_lacking_is_refused_and_leaves_nothing(repository: Path, versions: Path) -> None:
    with serving(repository) as (server, client):
        bring(repository, versions, 2)
        assert answers(client) == 1
        process = psutil.Process(server.process.pid)
        before = process.num_fds()
        with few_descriptors(server.process.pid, 5):
            for release in ({"live": 2}, {"shadow": {"version": 2}}):
                response = put(client, **release)
                assert response.status_code == 503 and "Too many open files" in response.json()["error"]
                assert response.headers["Retry-After"] == "1"
        until(lambda: process.num_fds() <= before)
        assert not children(server) and state(client)["refused"] == {}
        assert put(client, live=2).json()["live"] == 2


def test_a_shadow_comes_back_after_a_lack_of_files(repository: Path, versions: Path) -> None:
    with serving(repository) as (server, client):
        bring(repository, versions, 2)
        assert put(client, shadow={"version": 2}).json()["shadow"]["running"]
        (process,) = children(server)
        with few_descriptors(server.process.pid, 5):
            process.kill()
            server.wait_for_line("the shadow cannot be started again: .*Too many open files")
        until(lambda: metric(client, "thimble_shadow_up", version="2") == 1)


def test_a_repository_that_is_gone_is_said_to_be_so_once_and_followed_when_it_is_back(
    repository: Path, versions: Path, tmp_path: Path
) -> None:
    source = tmp_path / "there"
    source.mkdir()
    shutil.copytree(repository / "m", source / "m")
    with serving(source, "--poll-s", "0.1") as (server, client):
        looked = metric(client, "thimble_repository_last_look_timestamp_seconds")
        until(lambda: metric(client, "thimble_repository_last_look_timestamp_seconds") > looked)
        source.rename(tmp_path / "away")
        server.wait_for_line(r"there: No such file or directory; it is tried again at the next look")
        looked = metric(client, "thimble_repository_last_look_timestamp_seconds")
        until(lambda: metric(client, "thimble_background_failures_total", task="polling") > 3)
        assert metric(client, "thimble_repository_last_look_timestamp_seconds") == looked
        assert sum("No such file" in line for line in server.lines) == 1
        (tmp_path / "away").rename(source)
        shutil.copytree(versions / "2", source / "m/2")
        until(lambda: answers(client) == 2)


def test_a_file_that_hangs_holds_up_no_other_model_that_is_followed(repository: Path, versions: Path) -> None:
    with serving(repository, "--poll-s", "0.1") as (server, client):
        bring(repository, versions, 2)
        until(lambda: bool(children(server)))
        (process,) = children(server)
        process.suspend()
        shutil.copytree(versions / "1", repository / "n/1")
        until(lambda: score(client, path="/v1/models/n/score").status_code == 200)
        assert client.post("/v1/models/m/rollback", headers=KEY).status_code == 409  # there is none, and it says so
        process.resume()
        until(lambda: score(client, path="/v1/models/m/score").json()["version"] == 2)


def test_a_worker_that_lacks_descriptors_holds_up_no_release_and_not_the_end(repository: Path, versions: Path) -> None:
    with serving(repository, "--workers", "2") as (server, _), ExitStack() as stack:
        clients = [stack.enter_context(httpx.Client(base_url=server.url, timeout=30)) for _ in range(2)]
        assert [answers(client) for client in clients] == [1, 1]  # each of another worker
        bring(repository, versions, 2)
        worker = psutil.Process(server.process.pid).children()[0]
        with few_descriptors(worker.pid, 0):
            for client in clients:
                refused = put(client, live=2)
                assert refused.status_code == 503 and "Too many open files" in refused.json()["error"]
        assert put(clients[0], live=2).status_code == 200
        assert [answers(client) for client in clients] == [2, 2]
