"""Versions that appear in the repository."""

import shutil
from pathlib import Path

from testing.conditions import until
from tests.service.releases.operator import KEY, answers, bring, score, serving


def test_versions_that_appear_are_served_once_they_are_whole(repository: Path, versions: Path) -> None:
    content = (versions / "2/model.onnx").read_bytes()
    with serving(repository, "--poll-s", "0.1") as (server, client):
        (repository / "m/2").mkdir()
        path = repository / "m/2/model.onnx"
        path.write_bytes(content[:1000])  # a copy that got stuck
        server.wait_for_line(f"refused {path}: truncated")
        assert answers(client) == 1
        path.write_bytes(content)
        until(lambda: answers(client) == 2)
        bring(repository, versions, 3)
        until(lambda: answers(client) == 3)
        client.post("/v1/models/m/rollback", headers=KEY)
        bring(repository, versions, 4)
        (repository / "n").mkdir()
        shutil.copytree(versions / "1", repository / "n/1")
        until(lambda: score(client, path="/v1/models/n/score").status_code == 200)
        assert score(client, path="/v1/models/m/score").json()["version"] == 2  # after a rollback none is followed
        (repository / "m/release.json").write_text('{"live": 3}')
        until(lambda: score(client, path="/v1/models/m/score").json()["version"] == 3)
        (repository / "m/release.json").write_text('{"live": ')
        server.wait_for_line(r"release.json: Invalid JSON")
        assert score(client, path="/v1/models/m/score").json()["version"] == 3


def test_a_server_may_start_with_nothing_if_models_may_come(versions: Path, tmp_path: Path) -> None:
    with serving(tmp_path, "--poll-s", "0.1") as (_, client):
        assert client.get("/readyz").status_code == 503
        shutil.copytree(versions / "1", tmp_path / "m/1")
        until(lambda: client.get("/readyz").status_code == 200)
        assert answers(client) == 1
