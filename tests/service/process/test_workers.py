"""Several processes behind one port."""

import os
import re
import signal
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest

from testing.conditions import until
from testing.servers import Server, running, workers
from thimble.models.spec import ModelSpec

WORKERS = 3


def connections(process: psutil.Process, port: int) -> int:
    return sum(c.status == psutil.CONN_ESTABLISHED and c.laddr.port == port for c in process.net_connections("tcp4"))


def score(client: httpx.Client, spec: ModelSpec) -> list[float]:
    assert spec.golden is not None
    response = client.post("/v1/score", json={"features": spec.golden.features})
    assert response.status_code == 200, response.text
    scores: list[float] = response.json()["scores"]
    return scores


def counts(server: Server) -> tuple[int, float]:
    """Requests that were scored, as Triton's statistics and as Prometheus say."""
    (stats,) = httpx.get(f"{server.url}/v2/models/stats").json()["model_stats"]
    text = httpx.get(f"{server.url}/metrics").text
    found = re.findall(r'^thimble_request_seconds_count\{.*status="200".*\} (\S+)$', text, re.M)
    return stats["inference_stats"]["success"]["count"], sum(map(float, found))


def test_connections_are_shared_evenly_and_every_worker_counts_for_all(small_artifact: Path, small: ModelSpec) -> None:
    with running(small_artifact, "--workers", str(WORKERS)) as server, ExitStack() as stack:
        port = httpx.URL(server.url).port
        assert port is not None
        clients = [stack.enter_context(httpx.Client(base_url=server.url)) for _ in range(4 * WORKERS)]
        with ThreadPoolExecutor(8) as pool:
            scores = list(pool.map(lambda client: [score(client, small) for _ in range(5)], clients))
        assert small.golden is not None
        for found in scores:
            assert found == [pytest.approx(small.golden.scores, abs=1e-6)] * 5
        shared = Counter({process.pid: connections(process, port) for process in workers(server)})
        assert set(shared.values()) == {4}
        asked = [counts(server) for _ in range(WORKERS)]  # each time another worker answers
        assert asked == [(20 * WORKERS, 20.0 * WORKERS)] * WORKERS
    assert server.process.returncode == 0


def test_a_worker_that_dies_is_replaced_and_the_others_go_on(small_artifact: Path, small: ModelSpec) -> None:
    with running(small_artifact, "--workers", "2") as server:
        with httpx.Client(base_url=server.url) as client:
            for _ in range(4):
                score(client, small)
        before = {process.pid for process in workers(server)}
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        server.wait_for_line(f"worker {victim} died with status -9 and is replaced")
        for _ in range(20):  # every one on a connection of its own
            assert httpx.get(f"{server.url}/readyz").status_code == 200
        until(lambda: len(workers(server)) == 2)
        after = {process.pid for process in workers(server)}
        assert victim not in after and len(before & after) == 1
        with httpx.Client(base_url=server.url) as client:
            score(client, small)
        assert counts(server) == (5, 5.0)  # what the dead one counted is not forgotten
        assert "thimble_worker_deaths_total 1.0" in httpx.get(f"{server.url}/metrics").text
    assert server.process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_them_all_with_status_0(small_artifact: Path, number: signal.Signals) -> None:
    server = Server(small_artifact, "--port", "0", "--workers", "2")
    assert httpx.get(f"{server.url}/readyz").status_code == 200
    children = workers(server)
    server.process.send_signal(number)
    assert server.wait() == 0
    assert not any(child.is_running() for child in children)
    assert server.lines[-1].endswith("stopped") and not [line for line in server.lines if "Traceback" in line]


def test_workers_end_with_the_process_that_started_them(small_artifact: Path) -> None:
    server = Server(small_artifact, "--port", "0", "--workers", "2")
    _ = server.url
    children = workers(server)
    server.process.kill()
    assert server.wait() == -signal.SIGKILL
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive


def test_a_model_that_cannot_be_served_is_said_and_ends_them(tmp_path: Path) -> None:
    (tmp_path / "m" / "1").mkdir(parents=True)
    (tmp_path / "m" / "1" / "model.onnx").write_bytes(b"broken")
    server = Server(tmp_path, "--port", "0", "--workers", "2")
    assert server.wait() == 1
    log = "\n".join(server.lines)
    assert "not an ONNX file" in log and "a worker could not start" in log and "Traceback" not in log


def test_a_client_that_leaves_before_it_is_handed_over_does_no_harm(small_artifact: Path) -> None:
    with running(small_artifact, "--workers", "2") as server:
        url = httpx.URL(server.url)
        for _ in range(50):
            socket.create_connection((url.host, url.port or 0)).close()
        assert httpx.get(f"{server.url}/readyz").status_code == 200
        assert not [line for line in server.lines if "Traceback" in line]
