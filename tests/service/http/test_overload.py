"""A server that is asked for more than it can do."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import httpx
import orjson
import pytest

from testing.servers import Server, running
from thimble.models.spec import ModelSpec

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def server(criteo_artifact: Path) -> Iterator[Server]:
    with running(criteo_artifact, "--max-queued-rows", "1", "--batch-rows", "8", "--timeout-ms", "60000") as server:
        yield server


@contextmanager
def flooded(server: Server) -> Iterator[list[int]]:
    """Three clients who ask for thousands of rows without a pause; the statuses they got."""
    stop, statuses = threading.Event(), list[int]()
    body = orjson.dumps({"features": {"C1": [f"{i:08x}" for i in range(5000)]}})

    def ask() -> None:
        with httpx.Client(base_url=server.url, timeout=60) as client:
            while not stop.is_set():
                statuses.append(client.post("/v1/score", content=body, headers=JSON).status_code)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield statuses
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_the_surplus_is_refused_and_its_connection_goes_on(server: Server, criteo: ModelSpec) -> None:
    assert criteo.golden is not None
    body = orjson.dumps({"features": criteo.golden.features})
    url = httpx.URL(server.url)
    connection = HTTPConnection(url.host, url.port, timeout=60)
    connection.connect()
    ours = connection.sock

    def ask() -> tuple[int, dict[str, str], object]:
        connection.request("POST", "/v1/score", body, JSON)
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), orjson.loads(response.read())

    with flooded(server) as statuses:
        found = [ask() for _ in range(200)]
        answered = [answer for status, _, answer in found if status == 200]
        refused = [(headers, answer) for status, headers, answer in found if status == 429]
    assert len(answered) + len(refused) == len(found) and refused
    assert set(statuses) <= {200, 429} and 200 in statuses
    for headers, answer in refused:
        assert headers["retry-after"] == "1"
        assert isinstance(answer, dict) and "waiting, 1 or more are too many" in answer["error"]
    status, _, answer = ask()
    assert status == 200 and isinstance(answer, dict)
    assert answer["scores"] == pytest.approx(criteo.golden.scores, abs=1e-6)
    assert connection.sock is ours  # not one refusal closed it
    connection.close()
    metrics = httpx.get(f"{server.url}/metrics").text
    refusals = len(refused) + statuses.count(429)
    assert f'thimble_request_seconds_count{{model="criteo",status="429",version="1"}} {refusals}.0' in metrics


def test_what_is_no_scoring_is_answered_all_the_same(server: Server) -> None:
    with flooded(server), httpx.Client(base_url=server.url, timeout=60) as client:
        for _ in range(20):
            for path in ("/healthz", "/readyz", "/metrics", "/v2/models/criteo/stats"):
                assert client.get(path).status_code == 200
        assert client.post("/v1/models/other/score", json={}).status_code == 404
