"""Versions that are deleted from the repository."""

import errno
import shutil
from pathlib import Path

import httpx
import pytest

from testing.conditions import until
from tests.service.releases.operator import KEY, bring, everywhere, put, score, serving, state
from thimble.service.releases import repository as on_disk
from thimble.service.releases.hold import BusyError, Hold
from thimble.service.releases.repository import Repository, StoreError


def delete(client: httpx.Client, version: object, model: str = "m") -> httpx.Response:
    return client.delete(f"/v1/models/{model}/versions/{version}", headers=KEY)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_nobody_needs_is_deleted_and_nothing_else(repository: Path, versions: Path) -> None:
    with serving(repository, "--workers", "2", "--poll-s", "0.1") as (server, client):
        bring(repository, versions, 2, 3, 4)
        shutil.copytree(versions / "1", repository / "m/7")
        assert put(client, live=1).status_code == put(client, live=2).status_code == 200
        beside = {"canary": {"version": 3, "weight": 0.1}, "shadow": {"version": 4}, "also": [7]}
        assert put(client, live=2, **beside).status_code == 200
        needed = {
            1: "what a rollback may lead to",
            2: "live",
            3: "the canary",
            4: "the shadow",
            7: "kept for requests that name it",
        }
        for version, use in needed.items():
            for _ in range(2):  # each worker
                with httpx.Client(base_url=server.url, timeout=60) as fresh:
                    response = delete(fresh, version)
                assert response.status_code == 409
                assert response.json() == {"error": f"version {version} of m is {use}, so it is not deleted"}
        assert delete(client, 9).json() == {"error": "version 9 of m is not in the repository"}
        assert [delete(client, what).status_code for what in (9, 0, "latest")] == [404, 400, 400]
        assert delete(client, 1, "n").json() == {"error": "there is no model 'n' in the repository"}
        assert names(repository / "m") == ["1", "2", "3", "4", "7", "release.json"]

        assert put(client, live=2).status_code == 200
        elsewhere = Hold(repository / "m/7/model.onnx")  # as another server has it
        busy = {"error": "version 7 of m is loaded in another process, so it is not deleted"}
        assert (delete(client, 7).status_code, delete(client, 7).json()) == (409, busy)
        elsewhere.release()
        assert delete(client, 7).json() == {"model": "m", "version": 7, "stored": [1, 2, 3, 4]}
        assert names(repository / "m") == ["1", "2", "3", "4", "release.json"]
        assert delete(client, 7).status_code == 404
        server.wait_for_line("m: version 7 is deleted, by key 1 of THIMBLE_ADMIN_KEYS")
        content = (versions / "3/model.onnx").read_bytes()
        assert client.put("/v1/models/m/versions/7", content=content, headers=KEY).status_code == 200
        assert put(client).json()["live"] == 7  # follows the newest, and no longer what has gone
        shutil.copytree(versions / "4", repository / "m/8")
        until(lambda: everywhere(server) == {8})
        assert client.get("/v1/models/m").json()["stored"] == [1, 2, 3, 4, 7, 8]
        assert [delete(client, version).status_code for version in (1, 3, 2)] == [200, 200, 200]
        client.post("/v2/repository/models/m/unload", headers=KEY)
        assert delete(client, 8).status_code == 200
        assert state(client)["stored"] == [4, 7] and score(client).status_code == 404


def test_a_file_that_any_process_has_loaded_is_not_deleted(repository: Path) -> None:
    stored = Repository(repository)
    hold = Hold(repository / "m/1/model.onnx")
    with pytest.raises(BusyError):
        stored.delete("m", 1)
    assert stored.versions("m").keys() == {1}
    hold.release()
    forgotten = Hold(repository / "m/1/model.onnx")
    del forgotten
    stored.delete("m", 1)
    assert names(repository / "m") == []


def test_a_version_is_removed_whole_or_not_at_all(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, kept = Repository(repository), repository / "m/1"
    (kept / "notes").symlink_to("nowhere")
    (repository / "m/2").symlink_to(kept)

    def fail(*_: Path) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(on_disk, "withdraw", fail)
        with pytest.raises(StoreError, match="m/1 cannot be deleted: Read-only file system"):
            stored.delete("m", 1)
    assert names(kept) == ["model.onnx", "notes"]
    with monkeypatch.context() as patch:  # killed half-way
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        stored.delete("m", 2)
    assert stored.versions("m").keys() == {1} and len(names(repository / "m")) == 2
    stored.drop(stored.receive("m", 3, b"later"))
    assert names(repository / "m") == ["1"] and names(kept) == ["model.onnx", "notes"]
    stored.delete("m", 1)
    assert names(repository / "m") == []


def test_of_a_single_file_nothing_is_deleted(versions: Path) -> None:
    with serving(versions / "1/model.onnx") as (_, client):
        response = delete(client, 1, client.get("/v1/models").json()[0]["name"])
        assert response.status_code == 409 and "is one file; models come and go in a repository" in response.text
