"""Changes that are refused, and leave everything as it was."""

import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import onnx
import psutil
import pytest

from testing.artifacts import never_end
from testing.conditions import until
from tests.service.releases.operator import KEY, answers, bring, children, metric, put, serving


def broken(path: Path) -> None:
    path.write_bytes(b"broken")


def swap_golden_scores(path: Path) -> None:
    model = onnx.load(path)
    (prop,) = (prop for prop in model.metadata_props if prop.key == "thimble")
    spec = json.loads(prop.value)
    spec["golden"]["scores"].reverse()
    prop.value = json.dumps(spec)
    onnx.save_model(model, path)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("harm", "reason"), [(broken, "not an ONNX file"), (truncated, "truncated"), (swap_golden_scores, "golden row")]
)
def test_a_bad_version_leaves_the_old_one_serving(
    repository: Path, versions: Path, harm: Callable[[Path], None], reason: str
) -> None:
    with serving(repository) as (server, client):
        bring(repository, versions, 2)
        path = repository / "m/2/model.onnx"
        harm(path)
        response = client.post("/v2/repository/models/m/load", headers=KEY)
        assert response.status_code == 400 and reason in response.json()["error"] and str(path) in response.text
        assert answers(client) == 1 and client.get("/readyz").status_code == 200
        asked = "POST /v2/repository/models/m/load by key 1 of THIMBLE_ADMIN_KEYS"
        server.wait_for_line(f"WARNING {asked} was answered with 400: .*{reason}")
        assert metric(client, "thimble_release_changes_total", outcome="refused") == 1
        index = client.post("/v2/repository/index", headers=KEY).json()
        assert [entry["state"] for entry in index] == ["READY", "UNAVAILABLE"] and reason in index[1]["reason"]
        content = path.read_bytes()
        pushed = client.put("/v1/models/m/versions/7", content=content, headers=KEY)
        assert pushed.status_code == 400 and reason in pushed.json()["error"]
        assert sorted(entry.name for entry in (repository / "m").iterdir()) == ["1", "2"]


def test_a_file_that_kills_what_loads_it_is_refused(repository: Path, versions: Path) -> None:
    with serving(repository) as (server, client):
        bring(repository, versions, 2)
        never_end(repository / "m/2/model.onnx")
        with ThreadPoolExecutor(1) as pool:
            load = pool.submit(client.post, "/v2/repository/models/m/load", headers=KEY)
            until(lambda: bool(children(server)))
            children(server)[0].kill()
            assert load.result().status_code == 400
            assert "the process that loaded it was killed by SIGKILL" in load.result().json()["error"]
        assert answers(client) == 1


def test_a_file_is_not_blamed_for_what_an_earlier_one_did(repository: Path, versions: Path) -> None:
    with serving(repository) as (server, client), ThreadPoolExecutor(1) as pool:
        bring(repository, versions, 2, 3)
        assert put(client, live=2).status_code == 200
        (process,) = children(server)  # it stays for the next file
        process.suspend()
        release = pool.submit(put, client, live=3)
        process.kill()
        assert release.result().json()["live"] == 3
        assert answers(client) == 3


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "sentence"),
    [
        ("PUT", "/v1/models/m/release", '{"live": 9}', 409, "version 9 of m is not in the repository"),
        ("PUT", "/v1/models/m/release", "[]", 400, "not an object"),
        ("PUT", "/v1/models/m/release", f'{{"canary": {"[" * 300}{"]" * 300}}}', 400, "nested too deeply"),
        ("PUT", "/v1/models/m/release", '{"canary": {"version": 1, "weight": 0.1}}', 400, "live and canary at once"),
        ("PUT", "/v1/models/n/release", "{}", 404, "there is no model 'n' in the repository"),
        ("POST", "/v1/models/m/rollback", "", 409, "there is no version of m to go back to from 1"),
        ("PUT", "/v1/models/m/versions/0", "x", 400, "'0' is no version"),
        ("PUT", "/v1/models/../versions/1", "x", 404, "there is nothing at"),
        ("PUT", "/v1/models/%2e%2e/versions/1", "x", 400, "'..' is no name for a model"),
        ("POST", "/v2/repository/models/m/load", "{", 400, "invalid JSON"),
        ("POST", "/v2/repository/models/m/load", '{"parameters": {"config": "{"}}', 400, "config: invalid JSON"),
        (
            "POST",
            "/v2/repository/models/m/load",
            '{"parameters": {"file:1/x": ""}}',
            400,
            "is not file:VERSION/model.onnx",
        ),
        ("POST", "/v2/repository/models/m/load", '{"parameters": {"file:2/model.onnx": "*"}}', 400, "is not base64"),
        (
            "POST",
            "/v2/repository/models/m/load",
            '{"parameters": {"config": "{\\"version_policy\\": {\\"specific\\": {\\"versions\\": []}}}"}}',
            400,
            "version_policy",
        ),
        ("POST", "/v2/repository/models/n/unload", "", 404, "there is no model 'n'"),
    ],
)
def test_what_cannot_be_done_is_said(
    small_artifact: Path, method: str, path: str, body: str, status: int, sentence: str, refusing: httpx.Client
) -> None:
    request = refusing.build_request(method, "/", content=body, headers=KEY)
    request.url = refusing.base_url.copy_with(raw_path=path.encode())
    response = refusing.send(request)
    assert response.status_code == status and sentence in response.json()["error"], response.text
    assert answers(refusing) == 1


@pytest.fixture(scope="module")
def refusing(versions: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    repository = tmp_path_factory.mktemp("refusing")
    shutil.copytree(versions / "1", repository / "m/1")
    with serving(repository) as (_, client):
        yield client


def test_a_repository_that_cannot_be_written_changes_nothing(versions: Path, tmp_path: Path) -> None:
    repository = tmp_path / "full"
    for version in ("1", "2"):
        shutil.copytree(versions / version, repository / f"m/{version}")
    with serving(repository) as (_, client):
        (repository / "m/release.json").mkdir()  # a file cannot take its place
        response = put(client, live=1)
        assert response.status_code == 507 and "cannot be written" in response.json()["error"]
        assert answers(client) == 2


def test_a_disk_that_is_full_changes_nothing(repository: Path, versions: Path) -> None:
    content = (versions / "2/model.onnx").read_bytes()
    with serving(repository) as (server, client):
        process = psutil.Process(server.process.pid)
        unlimited = process.rlimit(psutil.RLIMIT_FSIZE)
        process.rlimit(psutil.RLIMIT_FSIZE, (5, unlimited[1]))  # writing stops after so many bytes of a file
        pushed = client.put("/v1/models/m/versions/2", content=content, headers=KEY)
        bring(repository, versions, 3)
        for response in (pushed, put(client, live=3)):
            assert response.status_code == 507 and "cannot be written: File too large" in response.json()["error"]
        server.wait_for_line("PUT /v1/models/m/versions/2 by .* was answered with 507: .*m/2 cannot be written")
        assert metric(client, "thimble_release_changes_total", outcome="refused") == 2
        assert sorted(path.name for path in (repository / "m").iterdir()) == ["1", "3"]
        assert answers(client) == 1
        process.rlimit(psutil.RLIMIT_FSIZE, unlimited)
        assert client.put("/v1/models/m/versions/2", content=content, headers=KEY).status_code == 200
        assert put(client, live=2).json()["live"] == 2


def test_a_single_file_has_no_other_versions(versions: Path) -> None:
    with serving(versions / "1/model.onnx") as (_, client):
        response = put(client, live=1)
        assert response.status_code == 409 and "is one file; models come and go in a repository" in response.text
