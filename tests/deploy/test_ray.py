"""The application on Ray Serve: a cluster of three nodes, one of which is lost at the end.

Needs the extra `ray`:  make proofs, or  pytest -m proof tests/deploy/test_ray.py
"""

import gzip
import json
import shutil
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import pytest
import tritonclient.http as triton

from testing.messages import MODEL, TOLERANCE, features, golden_rows, infer_binary, random_rows
from testing.servers import running as running_server
from thimble.client import Client

if find_spec("ray") is None:
    pytest.skip("Ray is not installed: `make proofs` installs the extra `ray`", allow_module_level=True)
with warnings.catch_warnings(action="ignore"):
    from tests.deploy.raycluster import Cluster, running, until

# Ray leaves sockets and files to the garbage collector
pytestmark = [pytest.mark.proof, pytest.mark.timeout(600), pytest.mark.filterwarnings("ignore")]

QUEUED_ROWS = 2000
NO_ANSWER = 0
# What only the server that speaks HTTP decides, and what differs from one answer to the next.
OF_THE_SERVER = {"date", "server", "x-request-id"}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two versions of the demo, with the same content."""
    folder = tmp_path_factory.mktemp("models")
    for version in ("1", "2"):
        shutil.copytree(MODEL.parent, folder / "demo" / version)
    (folder / "demo" / "release.json").write_text('{"live": 1}')
    return folder


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[Cluster]:
    """A replica on each of two nodes."""
    with running(tmp_path_factory.mktemp("ray"), repository, workers=2) as cluster:
        del cluster.deployment["autoscaling_config"]
        cluster.deployment["num_replicas"] = 2
        cluster.environment["THIMBLE_MAX_QUEUED_ROWS"] = str(QUEUED_ROWS)
        cluster.apply()
        until(lambda: cluster.settled(2))
        yield cluster


def serve(cluster: Cluster, wanted: dict[str, Any]) -> None:
    """Have this release of the demo served, as far as it can be."""
    cluster.deployment["user_config"] = {"demo": wanted}
    cluster.apply()
    until(lambda: cluster.settled(2))


def live(cluster: Cluster) -> set[int]:
    """Those that answer; each request may come to another replica."""
    asked = [httpx.post(f"{cluster.url}/v1/score", json={"features": {"C1": "68fd1e64"}}) for _ in range(20)]
    return {response.json()["version"] for response in asked}


class Answered(NamedTuple):
    """A request: when it was sent, in seconds since the first, its status, and which version answered."""

    sent: float
    status: int
    version: int


class Load:
    """Clients that ask on and on, on connections of their own, until they are told to stop; they ask nothing twice."""

    def __init__(self, url: str, clients: int = 4, pause: float = 0.01) -> None:
        self._url = url
        self._pause = pause
        self._begin = time.monotonic()
        self._stopping = threading.Event()
        self._pool = ThreadPoolExecutor(clients)
        self._answers: list[list[Answered]] = [[] for _ in range(clients)]
        self._clients = [self._pool.submit(self._ask, answers) for answers in self._answers]

    @property
    def asked(self) -> int:
        return sum(map(len, self._answers))

    def now(self) -> float:
        """Seconds since the first request."""
        return time.monotonic() - self._begin

    def _ask(self, answers: list[Answered]) -> None:
        golden, expected = golden_rows()
        body = {"features": features(golden)}
        with httpx.Client(base_url=self._url, timeout=60) as client:
            while not self._stopping.wait(self._pause):
                sent, status, version = self.now(), NO_ANSWER, 0
                with suppress(httpx.TransportError):
                    response = client.post("/v1/score", json=body)
                    status = response.status_code
                if status == 200:
                    version = response.json()["version"]
                    np.testing.assert_allclose(response.json()["scores"], expected, atol=TOLERANCE)
                answers.append(Answered(sent, status, version))

    def stop(self) -> list[list[Answered]]:
        """What came of each client's requests."""
        self._stopping.set()
        for client in self._clients:
            client.result()
        self._pool.shutdown()
        return self._answers


@contextmanager
def no_failures(cluster: Cluster, clients: int = 4, pause: float = 0.01) -> Iterator[list[int]]:
    """Asks all the while, and nothing fails. The versions that answered are known at the end."""
    found: list[int] = []
    load = Load(cluster.url, clients, pause)
    try:
        yield found
    finally:
        answers = sorted(answer for client in load.stop() for answer in client)
    assert len(answers) > 100 and {answer.status for answer in answers} == {200}
    found += [answer.version for answer in answers]


def asks() -> dict[str, tuple[str, str, dict[str, str], bytes]]:
    """Requests of all kinds: method, path, headers and body."""
    golden, _ = golden_rows()
    row = b"\t".join([b"5", *[b""] * 12, *[b"68fd1e64"] * 26]) + b"\n"
    many = json.dumps({"features": features(random_rows(600))}).encode()
    wrong = json.dumps({"features": {"C1": "xyz"}}).encode()
    too_many = json.dumps({"features": {"I1": [1] * 10_001}}).encode()
    head, _, body = infer_binary(golden).wire.partition(b"\r\n\r\n")
    binary = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    text = {"content-type": "text/tab-separated-values"}
    score = "/v1/score"
    return {
        "json": ("POST", score, {"content-type": "application/json"}, many),
        "lines": ("POST", "/v1/models/demo/versions/1/score", text, row * 3),
        "gzip both ways": ("POST", score, {"content-encoding": "gzip", "accept-encoding": "gzip"}, gzip.compress(many)),
        "binary tensors": ("POST", "/v2/models/demo/infer", binary, body),
        "a wrong token": ("POST", score, {}, wrong),
        "too many rows": ("POST", score, {}, too_many),
        "no such encoding": ("POST", score, {"content-encoding": "br"}, many),
        "no such type": ("POST", score, {"content-type": "text/html"}, many),
        "no such version": ("POST", "/v1/models/demo/versions/9/score", {}, many),
        "no such method": ("GET", score, {}, b""),
        "no such path": ("GET", "/v1/s%20c/..%2Fore?a=b", {}, b""),
        "a slash too many": ("GET", "/v1/models/", {}, b""),
        "only the head": ("HEAD", "/healthz", {}, b""),
        "without an admin key": ("PUT", "/v1/models/demo/release", {}, b"{}"),
        "models": ("GET", "/v1/models", {}, b""),
        "ready": ("GET", "/v2/health/ready", {}, b""),
        "configuration": ("GET", "/v2/models/demo/config", {}, b""),
        "description": ("GET", "/openapi.json", {}, b""),
        "documentation": ("GET", "/docs", {}, b""),
    }


def test_answers_are_those_of_the_plain_server(cluster: Cluster, repository: Path) -> None:
    def answered(url: str, ask: tuple[str, str, dict[str, str], bytes]) -> tuple[int, dict[str, str], bytes]:
        method, path, headers, body = ask
        response = httpx.request(method, url + path, headers=headers, content=body)
        told = {name: value for name, value in response.headers.items() if name not in OF_THE_SERVER}
        return response.status_code, told, response.content

    with running_server(repository) as server:
        for name, ask in asks().items():
            assert answered(cluster.url, ask) == answered(server.url, ask), name


def test_tritonclient_works_with_binary_tensors(cluster: Cluster) -> None:
    batch, scores = golden_rows()
    with triton.InferenceServerClient(cluster.url.removeprefix("http://")) as client:
        inputs = [
            triton.InferInput("dense", batch.dense.shape, "FP32"),
            triton.InferInput("ids", batch.ids.shape, "INT64"),
        ]
        for tensor, array in zip(inputs, batch, strict=True):
            tensor.set_data_from_numpy(array)
        for compression in (None, "gzip"):
            result = client.infer(
                "demo", inputs, request_compression_algorithm=compression, response_compression_algorithm=compression
            )
            np.testing.assert_allclose(result.as_numpy("score"), scores, atol=TOLERANCE)
        assert client.is_server_ready() and client.is_model_ready("demo", "1")


def test_metrics_are_those_of_a_replica(cluster: Cluster) -> None:
    response = httpx.get(f"{cluster.url}/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    assert 'thimble_live_version{model="demo"} 1.0' in response.text


def test_the_application_refuses_what_is_too_much(cluster: Cluster) -> None:
    body = {"features": {"I1": list(range(10_000))}}
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: httpx.post(f"{cluster.url}/v1/score", json=body, timeout=60), range(16)))
    assert {answer.status_code for answer in answers} == {200, 429}
    for answer in answers:
        if answer.status_code == 429:
            assert int(answer.headers["retry-after"]) >= 1 and "rows are waiting" in answer.json()["error"]


def test_a_new_version_goes_live_in_one_replica_after_the_other_and_no_request_fails(cluster: Cluster) -> None:
    with no_failures(cluster) as versions:
        serve(cluster, {"live": 2})
        assert live(cluster) == {2}
    assert set(versions) == {1, 2} and versions[-1] == 2


@pytest.mark.parametrize("wanted", [{"live": 99}, {"live": "newest"}])
def test_what_cannot_be_served_changes_nothing(cluster: Cluster, wanted: dict[str, Any]) -> None:
    before = cluster.replica_pids()
    with no_failures(cluster) as versions:
        serve(cluster, wanted)
    assert set(versions) == {2} and cluster.replica_pids() == before
    serve(cluster, {"live": 2})


def test_a_model_that_is_unloaded_is_not_ready(cluster: Cluster) -> None:
    cluster.deployment["user_config"] = {"demo": {"loaded": False}}
    cluster.apply()
    until(lambda: httpx.get(f"{cluster.url}/readyz").status_code == 503)
    response = httpx.get(f"{cluster.url}/v2/health/ready")
    assert response.status_code == 503 and response.json() == {"error": "no model is loaded"}
    serve(cluster, {"live": 2})
    until(lambda: live(cluster) == {2})


def test_replicas_are_replaced_one_after_the_other_and_no_request_fails(cluster: Cluster) -> None:
    before = cluster.replica_pids()
    with no_failures(cluster) as versions:
        cluster.environment["THIMBLE_BATCH_ROWS"] = "128"
        cluster.apply()
        until(lambda: cluster.settled(2) and not before & cluster.replica_pids())
    assert set(versions) == {2}


def test_replicas_come_and_go_with_the_load_and_no_request_fails(cluster: Cluster) -> None:
    del cluster.deployment["num_replicas"]
    soon = {"upscale_delay_s": 1, "downscale_delay_s": 2}
    cluster.deployment["autoscaling_config"] = {
        "min_replicas": 1,
        "max_replicas": 2,
        "target_ongoing_requests": 2,
        **soon,
    }
    with no_failures(cluster, clients=1):
        cluster.apply()
        until(lambda: cluster.settled(1))
    with no_failures(cluster, clients=16, pause=0):
        until(lambda: cluster.settled(2))
    with no_failures(cluster, clients=1):
        until(lambda: cluster.settled(1))
    del cluster.deployment["autoscaling_config"]
    cluster.deployment["num_replicas"] = 2
    cluster.apply()
    until(lambda: cluster.settled(2))


def test_a_node_that_is_lost_takes_the_requests_that_it_had_and_no_more(cluster: Cluster) -> None:
    stop = threading.Event()

    def patient() -> int:
        """Scores on and on as our client does, which asks again; returns how many rows."""
        scored = 0
        with Client(cluster.url, patience=30) as client:
            while not stop.wait(0.01):
                scored += len(client.score({"C1": "68fd1e64"}))
        return scored

    with ThreadPoolExecutor(2) as pool:
        patients = [pool.submit(patient) for _ in range(2)]
        load = Load(cluster.url, clients=16, pause=0)
        until(lambda: load.asked > 500)
        cluster.workers[1].kill()
        killed = load.now()
        until(lambda: not cluster.settled(2))
        cluster.add_worker()
        until(lambda: cluster.settled(2))
        asked = load.asked
        until(lambda: load.asked > asked + 500)
        answers = load.stop()
        stop.set()
        assert all(patient.result() > 0 for patient in patients)
    failed = [answer for client in answers for answer in client if answer.status != 200]
    assert {answer.status for answer in failed} <= {NO_ANSWER, 500}
    assert all(answer.sent < killed for answer in failed)
