"""Workers that hang, that keep dying, or that have no file descriptor left: the others go on."""

import json
import os
import resource
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from testing.conditions import until
from testing.servers import Server, running, workers
from tests.service.faults.processes import at_its_limit_of_files, held_up, stopped

KEY = {"Authorization": "Bearer an-admin-key-of-some-length"}
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
# Until a client says that its request hangs.
PATIENCE_SECONDS = 20
# More than a channel holds, so that what waits for it would wait for ever.
MANY = 700


def address(server: Server) -> tuple[str, int]:
    url = httpx.URL(server.url)
    assert url.port is not None
    return url.host, url.port


def connect(server: Server) -> socket.socket:
    """A client that has asked."""
    client = socket.create_connection(address(server), PATIENCE_SECONDS)
    client.sendall(REQUEST)
    return client


def status(client: socket.socket) -> int:
    """What it is answered."""
    with client, client.makefile("rb") as answer:
        return int(answer.read().split()[1])


def ready(server: Server) -> httpx.Response:
    return httpx.get(f"{server.url}/readyz", timeout=PATIENCE_SECONDS)


def other_than(known: set[int], server: Server) -> psutil.Process | None:
    return next((worker for worker in workers(server) if worker.pid not in known), None)


def test_clients_of_a_stopped_worker_get_another_and_it_is_replaced(small_artifact: Path) -> None:
    with running(small_artifact, "--workers", "2") as server:
        victim = workers(server)[0]
        with stopped(victim):
            assert {status(client) for client in [connect(server) for _ in range(20)]} == {200}
            server.wait_for_line(f"worker {victim.pid} is killed: it is stopped")
            until(lambda: len(workers(server)) == 2 and victim not in workers(server))
        assert ready(server).status_code == 200


def test_many_connections_beside_a_stopped_worker_are_all_answered(small_artifact: Path) -> None:
    with running(small_artifact, "--workers", "2", "--no-access-log") as server, stopped(workers(server)[0]):
        clients = [connect(server) for _ in range(MANY)]
        assert [status(client) for client in clients] == [200] * MANY


def test_all_workers_stopped_at_once_are_replaced_and_clients_hear_of_it(small_artifact: Path) -> None:
    with running(small_artifact, "--workers", "2") as server, ExitStack() as stack:
        for worker in workers(server):
            stack.enter_context(stopped(worker))
        assert status(connect(server)) in {200, 503}
        until(lambda: ready(server).status_code == 200)


def test_a_worker_that_is_stopped_while_it_loads_is_replaced(small_artifact: Path) -> None:
    with running(small_artifact, "--workers", "2") as server:
        survivor, victim = workers(server)
        known = {survivor.pid, victim.pid}
        victim.kill()
        until(lambda: other_than(known, server))
        loading = other_than(known, server)
        assert loading is not None
        with stopped(loading):
            server.wait_for_line(f"worker {loading.pid} is killed: it is stopped")
        until(lambda: len(workers(server)) == 2 and loading not in workers(server))


def test_a_worker_that_is_silent_for_long_is_replaced_though_it_is_not_stopped(small_artifact: Path) -> None:
    with running(small_artifact, "--workers", "2", "--worker-timeout-s", "0.5") as server:
        victim = workers(server)[0]
        with held_up(victim):
            server.wait_for_line(rf"worker {victim.pid} is killed: it has not answered for 0\.\d s")
        assert {status(client) for client in [connect(server) for _ in range(6)]} == {200}
        until(lambda: len(workers(server)) == 2 and victim not in workers(server))


def test_clients_are_told_where_no_worker_answers(small_artifact: Path) -> None:
    flags = ("--workers", "2", "--worker-timeout-s", "600", "--log-format", "json")
    with running(small_artifact, *flags) as server, ExitStack() as stack:
        for worker in workers(server):
            stack.enter_context(held_up(worker))
            stack.callback(worker.kill)

        def refusal() -> httpx.Response | None:
            with suppress(httpx.TimeoutException):  # it was given to a worker that was not yet known to be silent
                return httpx.get(f"{server.url}/readyz", timeout=2)
            return None

        until(refusal)
        answer = ready(server)
        assert answer.status_code == 503 and answer.json() == {"error": "no worker answers"}
        assert answer.headers["connection"] == "close" and answer.headers["retry-after"] == "1"
        line = json.loads(server.wait_for_line(answer.headers["x-request-id"]).string)
        assert (line["status"], line["client"], line["error"]) == (503, "127.0.0.1", "no worker answers")


def test_a_worker_that_gets_hardly_any_time_is_not_killed(small_artifact: Path) -> None:
    """Its niceness leaves it a fiftieth of a core, beside processes that compute."""
    with running(small_artifact, "--workers", "2") as server, ExitStack() as stack:
        for worker in workers(server):
            worker.nice(19)
        loop = [sys.executable, "-c", "while True: pass"]
        hogs = [stack.enter_context(subprocess.Popen(loop)) for _ in range(2 * (os.cpu_count() or 1))]
        for hog in hogs:
            stack.callback(hog.kill)
        known = {worker.pid for worker in workers(server)}
        seconds = [psutil.Process(hog.pid).cpu_times for hog in hogs]
        until(lambda: min(times().user for times in seconds) > 0.5 and status(connect(server)) == 200)
        assert {worker.pid for worker in workers(server)} == known
        assert not [line for line in server.lines if "killed" in line]


def test_workers_that_keep_dying_are_said_by_those_that_live(small_artifact: Path) -> None:
    with running(small_artifact, "--workers", "2", "--no-access-log") as server:
        survivor, victim = workers(server)
        known = {survivor.pid}
        for _ in range(3):
            until(lambda: other_than(known, server))
            victim = other_than(known, server) or victim
            known.add(victim.pid)
            victim.kill()
            server.wait_for_line(f"worker {victim.pid} died with status -9 and is replaced in")
        until(lambda: ready(server).status_code == 503)
        assert ready(server).json() == {"error": "workers keep dying: 3 in a row ended within 10 s; the log says why"}
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        survivor.kill()  # and where none lives, the supervisor says it
        until(lambda: not workers(server))
        answer = ready(server)
        assert answer.status_code == 503 and "workers keep dying" in answer.json()["error"]


def test_a_worker_that_cannot_be_started_for_want_of_files_is_started_later(small_artifact: Path) -> None:
    with running(small_artifact, "--workers", "2") as server:
        supervisor, victim = psutil.Process(server.process.pid), workers(server)[0]
        limit = resource.prlimit(supervisor.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(supervisor.pid, resource.RLIMIT_NOFILE, (3, limit[1]))
        victim.kill()
        server.wait_for_line(r"could not be started \(Too many open files\) and is replaced in 2 s")
        resource.prlimit(supervisor.pid, resource.RLIMIT_NOFILE, limit)
        until(lambda: len(workers(server)) == 2 and victim not in workers(server))
        assert ready(server).status_code == 200


def test_connections_wait_while_the_supervisor_can_open_no_file(small_artifact: Path) -> None:
    with running(small_artifact, "--workers", "2") as server:
        with at_its_limit_of_files(psutil.Process(server.process.pid)):
            client = connect(server)
            server.wait_for_line("connections have to wait: Too many open files")
        assert status(client) == 200
        assert len([line for line in server.lines if "connections have to wait" in line]) == 1
        assert ready(server).status_code == 200


def test_connections_of_a_worker_at_its_limit_of_files_go_to_another(small_artifact: Path) -> None:
    with running(small_artifact, "--workers", "2") as server:
        full, other = workers(server)
        with at_its_limit_of_files(full):
            assert [status(client) for client in [connect(server) for _ in range(20)]] == [200] * 20
            with at_its_limit_of_files(other):
                answer = ready(server)
                assert answer.status_code == 503
                assert answer.json() == {"error": "the workers have as many open files as they may"}
        until(lambda: ready(server).status_code == 200)
        assert {worker.pid for worker in workers(server)} == {full.pid, other.pid}


@pytest.fixture
def repository(small_artifact: Path, tmp_path: Path) -> Path:
    """Two versions, of which the first is live."""
    for version in ("1", "2"):
        (tmp_path / "small" / version).mkdir(parents=True)
        shutil.copy(small_artifact, tmp_path / "small" / version / "model.onnx")
    (tmp_path / "small" / "release.json").write_text('{"live": 1}')
    return tmp_path


def test_a_release_ends_with_a_sentence_where_a_worker_can_open_no_file(repository: Path) -> None:
    environment = {"THIMBLE_ADMIN_KEYS": KEY["Authorization"].split()[1]}
    with running(repository, "--workers", "2", env=environment) as server, _operator(server) as client:
        client.get("/healthz")
        port = client.get("/healthz").extensions["network_stream"].get_extra_info("client_addr")[1]
        (asked,) = [it for it in workers(server) if port in {c.raddr.port for c in it.net_connections() if c.raddr}]
        (other,) = {*workers(server)} - {asked}
        with at_its_limit_of_files(other):
            answer = client.put("/v1/models/small/release", content=json.dumps({"live": 2}))
        assert answer.status_code >= 400
        assert f"worker {other.pid}: " in answer.json()["error"]
        assert client.put("/v1/models/small/release", content=json.dumps({"live": 1})).status_code == 200
        assert client.put("/v1/models/small/release", content=json.dumps({"live": 2})).status_code == 200
    assert server.process.returncode == 0


def test_a_release_does_not_wait_for_a_worker_that_hangs(repository: Path) -> None:
    environment = {"THIMBLE_ADMIN_KEYS": KEY["Authorization"].split()[1]}
    with running(repository, "--workers", "2", env=environment) as server:
        with stopped(workers(server)[0]), _operator(server) as client:
            assert client.put("/v1/models/small/release", content=json.dumps({"live": 2})).status_code == 200
        until(lambda: len(workers(server)) == 2 and ready(server).status_code == 200)
        answers = [httpx.get(f"{server.url}/v1/models/small/release", headers=KEY).json() for _ in range(2)]
        assert [answer["live"] for answer in answers] == [2, 2]


def _operator(server: Server) -> httpx.Client:
    return httpx.Client(base_url=server.url, headers=KEY, timeout=PATIENCE_SECONDS)
