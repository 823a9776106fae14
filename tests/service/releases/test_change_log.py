"""The log says of each change what is served now, what was before, and who changed it."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from testing.conditions import until
from testing.servers import Server, running
from tests.service.releases.operator import ADMIN, KEY, bring, put, serving, state


def lines(server: Server, *keys: str) -> Iterator[dict[str, Any]]:
    """The lines that have these fields, and these of them."""
    for line in map(json.loads, server.lines):
        if line.keys() >= {*keys}:
            yield {key: line[key] for key in ("level", *keys)}


def test_every_way_in_which_it_changes_is_logged_once(repository: Path, versions: Path) -> None:
    env = {"THIMBLE_ADMIN_KEYS": f"{ADMIN} # alice,another-key-of-those-on-call # bob"}
    flags = ("--log-format", "json", "--poll-s", "0.1")
    with running(repository, *flags, env=env) as server, httpx.Client(base_url=server.url, timeout=60) as client:
        bob = {"Authorization": "Bearer another-key-of-those-on-call"}
        bring(repository, versions, 2)
        until(lambda: state(client)["live"] == 2)
        canary, shadow = {"version": 1, "weight": 0.1}, {"version": 1, "share": 1.0}
        assert put(client, canary=canary).status_code == 200
        assert put(client, live=2, shadow=shadow).status_code == 200
        assert put(client, live=2).status_code == put(client, live=2).status_code == 200
        assert client.put("/v1/models/m/release", json={"live": 9}, headers=bob).status_code == 409
        assert client.put("/v1/models/m/release", content=b"[", headers=bob).status_code == 400
        assert client.put("/v1/models/m/versions/2", content=b"none", headers=bob).status_code == 400
        assert client.delete("/v1/models/m/versions/2", headers=bob).status_code == 409
        assert client.post("/v2/repository/models/n/load", headers=bob).status_code == 404
        assert client.post("/v1/models/m/rollback", headers=bob).status_code == 200
        assert client.post("/v2/repository/models/m/unload", headers=KEY).status_code == 200
        assert client.post("/v2/repository/models/m/load", headers=KEY).status_code == 200
        content = (versions / "3/model.onnx").read_bytes()
        assert put(client, live=2).status_code == 200
        assert client.put("/v1/models/m/versions/3", content=content, headers=bob).status_code == 200
        assert client.delete("/v1/models/m/versions/3", headers=bob).status_code == 200
        (repository / "m/release.json").write_text('{"live": 1}')
        until(lambda: state(client)["live"] == 1)
    newest, two = {"live": 2, "following": True}, {"live": 2, "following": False}
    nothing = {"live": None, "following": False}
    found = list(lines(server, "model", "from", "to", "by"))
    assert {line.pop("model") for line in found} == {"m"} and {line.pop("level") for line in found} == {"info"}
    assert found == [
        {"from": {"live": None, "following": True}, "to": {"live": 1, "following": True}, "by": "the start"},
        {"from": {"live": 1, "following": True}, "to": newest, "by": "polling"},
        {"from": newest, "to": {**two, "canary": canary}, "by": "alice"},
        {"from": {**two, "canary": canary}, "to": {**two, "shadow": shadow}, "by": "alice"},
        {"from": {**two, "shadow": shadow}, "to": two, "by": "alice"},
        {"from": two, "to": {"live": 1, "following": False}, "by": "bob"},
        {"from": {"live": 1, "following": False}, "to": nothing, "by": "alice"},
        {"from": nothing, "to": newest, "by": "alice"},
        {"from": newest, "to": two, "by": "alice"},
        {"from": two, "to": {"live": 1, "following": False}, "by": "polling"},
    ]
    assert list(lines(server, "model", "stored", "by")) == [{"level": "info", "model": "m", "stored": 3, "by": "bob"}]
    assert list(lines(server, "model", "deleted", "by")) == [{"level": "info", "model": "m", "deleted": 3, "by": "bob"}]
    refused = list(lines(server, "method", "path", "status", "by", "error", "request_id"))
    assert [(line["method"], line["status"]) for line in refused] == [
        ("PUT", 409),
        ("PUT", 400),
        ("PUT", 400),
        ("DELETE", 409),
        ("POST", 404),
    ]
    assert {(line["level"], line["by"]) for line in refused} == {("warning", "bob")}
    assert refused[0]["error"] == "version 9 of m is not in the repository"
    text = "\n".join(server.lines)
    assert '"level":"error"' not in text and ADMIN not in text and "another-key" not in text
    assert "m: newer versions are followed" not in text
    assert "m: no newer version is followed any more, by alice" in text


def test_a_model_is_described_with_what_is_live_and_stored(repository: Path, versions: Path) -> None:
    shutil.copytree(versions / "2", repository / "n/2")
    with serving(repository) as (_, client):
        bring(repository, versions, 2)
        described = client.get("/v1/models/m").json()
        assert (described["name"], described["live"], described["stored"]) == ("m", 1, [1, 2])
        inputs = described["interface"]["inputs"]
        assert [(it["name"], it["datatype"], len(it["features"])) for it in inputs] == [
            ("dense", "FP32", 3),
            ("ids", "INT64", 4),
        ]
        assert inputs[1]["features"][3] == {"name": "f3", "kind": "hex"}
        roles: dict[str, Any] = {"following": True, "canary": None, "shadow": None, "previous": None}
        assert described["release"] == {**roles, "standby": [], "also": [], "taken_out": []}
        assert client.get("/v1/models/n").json()["interface"] == described["interface"]
        client.post("/v2/repository/models/n/unload", headers=KEY)
        unloaded = client.get("/v1/models/n").json()
        assert (unloaded["live"], unloaded["interface"], unloaded["stored"]) == (None, None, [2])
        missing = client.get("/v1/models/none")
        assert missing.status_code == 404
        assert missing.json() == {"error": "there is no model 'none' in the repository"}
