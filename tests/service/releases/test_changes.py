"""Versions are pushed, loaded, released, rolled back and unloaded."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from testing.servers import Server
from tests.service.releases.operator import KEY, answers, bring, crowd, metric, put, score, serving, state


def test_a_new_version_is_loaded_and_rolled_back_at_once(repository: Path, versions: Path) -> None:
    with serving(repository) as (server, client):
        bring(repository, versions, 2)
        assert answers(client) == 1
        assert client.post("/v2/repository/models/m/load", headers=KEY).status_code == 200
        assert answers(client) == 2
        assert score(client, path="/v1/models/m/versions/1/score").json()["version"] == 1  # at hand for the way back
        assert client.post("/v1/models/m/rollback", headers=KEY).json()["live"] == 1
        assert answers(client) == 1
        assert state(client) == {
            "live": 1,
            "following": False,
            "canary": None,
            "shadow": None,
            "standby": [2],
            "also": [],
            "previous": 2,
            "stored": [1, 2],
            "refused": {},
            "taken_out": [],
        }
        assert metric(client, "thimble_live_version", model="m") == 1
        assert metric(client, "thimble_release_changes_total", outcome="released") == 3
        assert metric(client, "thimble_model_info", version="2") == 1
        server.wait_for_line("m: version 2 answers now, version 1 before, by key 1 of THIMBLE_ADMIN_KEYS")
    with serving(repository) as (_, client):  # after a restart the way back is not forgotten
        assert answers(client) == 1


def test_tritons_client_lists_loads_pushes_unloads_and_rolls_back(repository: Path, versions: Path) -> None:
    with serving(repository) as (server, client):
        remote = triton.InferenceServerClient(server.url.removeprefix("http://"))

        def index() -> dict[str, str]:
            return {entry["version"]: entry["state"] for entry in remote.get_model_repository_index(headers=KEY)}

        bring(repository, versions, 2)
        assert index() == {"1": "READY", "2": "UNAVAILABLE"}
        remote.load_model("m", headers=KEY)
        assert answers(client) == 2 and index() == {"1": "READY", "2": "READY"}
        content = (versions / "3/model.onnx").read_bytes()
        remote.load_model("m", headers=KEY, config="{}", files={"file:3/model.onnx": content})
        assert answers(client) == 3 and index() == {"1": "UNAVAILABLE", "2": "READY", "3": "READY"}
        back = json.dumps({"version_policy": {"specific": {"versions": [2]}}})
        remote.load_model("m", headers=KEY, config=back)
        assert answers(client) == 2
        assert remote.get_model_metadata("m")["versions"] == ["2", "3"]
        remote.load_model("m", headers=KEY, config=json.dumps({"version_policy": {"all": {}}}))
        assert answers(client) == 3 and set(index().values()) == {"READY"}
        remote.unload_model("m", headers=KEY)
        assert not remote.is_model_ready("m") and not remote.is_server_ready() and remote.is_server_live()
        assert set(index().values()) == {"UNAVAILABLE"}
        assert score(client).json() == {"error": "no model is loaded"}
        assert client.get("/readyz").json() == {"error": "no model is loaded"}
        with pytest.raises(InferenceServerException, match="there is no model 'n' in the repository"):
            remote.load_model("n", headers=KEY)
    with serving(repository) as (server, client):  # an unloaded model stays so
        assert client.get("/readyz").status_code == 503
        remote = triton.InferenceServerClient(server.url.removeprefix("http://"))
        remote.load_model("m", headers=KEY)
        assert answers(client) == 3 and client.get("/readyz").status_code == 200


def test_a_version_is_pushed_staged_and_released(repository: Path, versions: Path) -> None:
    content = (versions / "2/model.onnx").read_bytes()
    with serving(repository) as (_, client):
        assert client.put("/v1/models/m/versions/2", content=content, headers=KEY).json() == {
            "model": "m",
            "version": 2,
            "message": 'stored, not served; to serve it: PUT /v1/models/m/release with {"live": 2}',
        }
        assert answers(client) == 1
        assert put(client, live=2).json()["live"] == 2
        other = (versions / "3/model.onnx").read_bytes()
        response = client.put("/v1/models/m/versions/2", content=other, headers=KEY)
        assert response.status_code == 409
        assert "is there already with other content" in response.json()["error"]
        assert client.put("/v1/models/n/versions/1", content=other, headers=KEY).status_code == 200
        assert client.post("/v2/repository/models/n/load", headers=KEY).status_code == 200
        assert score(client, path="/v1/models/n/score").json()["version"] == 1


def test_all_workers_serve_what_one_was_told_to(repository: Path, versions: Path) -> None:
    with serving(repository, "--workers", "3") as (server, client):
        everywhere = [httpx.Client(base_url=server.url, timeout=60) for _ in range(6)]  # two for each
        bring(repository, versions, 2, 4)
        assert put(client, live=2).status_code == 200
        assert [answers(it) for it in everywhere] == [2] * 6
        assert everywhere[0].post("/v1/models/m/rollback", headers=KEY).status_code == 200
        assert [answers(it) for it in everywhere] == [1] * 6
        assert put(client, live=2, canary={"version": 4, "weight": 0.5}).status_code == 200
        victim = psutil.Process(server.process.pid).children()[0]
        os.kill(victim.pid, signal.SIGKILL)
        server.wait_for_line(f"worker {victim.pid} died")
        with crowd(server, 12) as others:
            while any(state(it)["canary"] for it in fresh(server, 6)):
                assert {response.status_code for response in others.offend()} == {200}
        assert {answers(it) for it in fresh(server, 6)} == {2}
        for it in everywhere:
            it.close()


def fresh(server: Server, number: int) -> Iterator[httpx.Client]:
    """Clients with a connection each."""
    for _ in range(number):
        with httpx.Client(base_url=server.url, timeout=60) as client:
            yield client
