import json
import shutil
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx

from testing.artifacts import write_artifact
from testing.samples import small_spec
from testing.servers import running
from thimble.service.releases.release import Release, parsed

ADMIN = "the-key-of-those-on-call"


def test_only_answers_that_can_come_are_described(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    statuses = {path: set(operation["responses"]) for path, item in paths.items() for operation in item.values()}
    assert statuses["/v2"] == statuses["/v2/models/stats"] == statuses["/v1/models"] == {"200"}
    assert statuses["/v2/models/{model}"] == statuses["/v2/models/{model}/versions/{version}/config"] == {"200", "404"}
    for path in ("/v1/score", "/v2/models/criteo/infer"):
        assert statuses[path] == {"200", "400", "404", "408", "413", "415", "429", "503", "504"}


def test_what_people_come_for_is_first(client: httpx.Client) -> None:
    description = client.get("/openapi.json").json()
    assert description["info"]["version"] == version("thimble-ctr") and description["info"]["description"]
    tags = [tag["name"] for tag in description["tags"]]
    assert tags == ["score", "models", "releases", "Open Inference Protocol", "health"]
    assert all(tag["description"] for tag in description["tags"])
    used = [operation["tags"] for item in description["paths"].values() for operation in item.values()]
    assert {name for names in used for name in names} == set(tags) and all(len(names) == 1 for names in used)
    assert next(iter(description["paths"])) == "/v1/score"


def test_every_schema_that_is_named_is_there(client: httpx.Client) -> None:
    description = client.get("/openapi.json").json()
    known = {f"#/components/schemas/{name}" for name in description["components"]["schemas"]}
    assert set(references(description)) == known


def test_models_whose_names_are_nearly_alike_are_told_apart(tmp_path: Path) -> None:
    for number, name in enumerate(("a-b", "a.b", "a_b"), 1):
        path = write_artifact(small_spec(dense=number, kinds=("int",)), tmp_path / "written", "same")
        path.parent.parent.rename(tmp_path / name)
    with running(tmp_path) as server:
        description = httpx.get(f"{server.url}/openapi.json").json()
    schemas = description["components"]["schemas"]
    for number, name in enumerate(("a-b", "a.b", "a_b"), 1):
        body = description["paths"][f"/v1/models/{name}/score"]["post"]["requestBody"]["content"]["application/json"]
        request = schemas[body["schema"]["$ref"].rpartition("/")[2]]
        features = schemas[request["properties"]["features"]["$ref"].rpartition("/")[2]]
        assert set(body["example"]["features"]) <= set(features["properties"])
        assert set(features["properties"]) == {*(f"d{i}" for i in range(number)), "f0"}


def test_no_two_operations_have_the_same_name(small_artifact: Path, tmp_path: Path) -> None:
    for folder in ("a/1", "a_1/1"):
        shutil.copytree(small_artifact.parent, tmp_path / folder)
    with running(tmp_path) as server:
        paths = httpx.get(f"{server.url}/openapi.json").json()["paths"]
    names = [operation["operationId"] for item in paths.values() for operation in item.values()]
    assert len(set(names)) == len(names)


def references(node: Any) -> Iterator[str]:
    for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from references(value)
    if isinstance(node, dict) and "$ref" in node:
        yield node["$ref"]


def test_a_release_is_described_as_it_is_read(client: httpx.Client) -> None:
    operation = client.get("/openapi.json").json()["paths"]["/v1/models/{model}/release"]["put"]
    body = operation["requestBody"]["content"]["application/json"]
    schema = body["schema"]
    assert parsed(json.dumps(body["example"]).encode()).live == 1
    assert set(schema["properties"]) == set(Release.model_fields) and schema["additionalProperties"] is False
    whole = {
        "live": 1,
        "canary": {"version": 2, "weight": 0.5},
        "shadow": {"version": 3},
        "also": [4],
        "taken_out": [5],
        "interface": "changes",
    }
    assert set(schema["properties"]) == {*whole, "loaded"}
    assert parsed(json.dumps({**whole, "loaded": True}).encode()).also == (4,)


def test_keys_are_described_only_where_there_are_some(client: httpx.Client, small_artifact: Path) -> None:
    description = client.get("/openapi.json").json()
    assert "securitySchemes" not in description["components"] and "security" not in json.dumps(description["paths"])
    with running(small_artifact, env={"THIMBLE_ADMIN_KEYS": ADMIN}) as server:
        description = httpx.get(f"{server.url}/openapi.json").json()
    assert description["components"]["securitySchemes"] == {"key": {"type": "http", "scheme": "bearer"}}
    guarded = {path for path, item in description["paths"].items() for it in item.values() if "security" in it}
    assert guarded == {
        "/v1/models/{model}/golden",
        "/v1/models/{model}/versions/{version}/golden",
        "/v1/models/{model}/release",
        "/v1/models/{model}/rollback",
        "/v1/models/{model}/versions/{version}",
        "/v2/repository/index",
        "/v2/repository/models/{model}/load",
        "/v2/repository/models/{model}/unload",
    }


def test_the_description_follows_what_is_served(small_artifact: Path, tmp_path: Path) -> None:
    def described(url: str) -> dict[str, int]:
        paths = httpx.get(f"{url}/openapi.json").json()["paths"]
        answers = {
            path: item["post"]["responses"]["200"]["content"]["application/json"]["example"]
            for path, item in paths.items()
            if path.endswith("/score")
        }
        return {path: answer["version"] for path, answer in answers.items()}

    for number in ("1", "2"):
        shutil.copytree(small_artifact.parent, tmp_path / f"m/{number}")
    with running(tmp_path, env={"THIMBLE_ADMIN_KEYS": ADMIN}) as server:
        before = {"/v1/score": 2, "/v1/models/m/score": 2, "/v1/models/m/versions/2/score": 2}
        assert described(server.url) == before
        wanted, key = {"live": 1, "also": [2]}, {"Authorization": f"Bearer {ADMIN}"}
        assert httpx.put(f"{server.url}/v1/models/m/release", json=wanted, headers=key, timeout=60).status_code == 200
        after = {"/v1/score": 1, "/v1/models/m/score": 1, "/v1/models/m/versions/1/score": 1}
        assert described(server.url) == {**after, "/v1/models/m/versions/2/score": 2}
