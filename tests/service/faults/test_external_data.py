"""External data that is changed: before it is loaded, while it is, and while it is served."""

import os
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from testing.artifacts import write_artifact
from testing.conditions import until
from testing.samples import small_spec
from testing.servers import SCRIPTS, START_SECONDS
from tests.service.releases.operator import answers, put, score, serving


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Versions 1 and 2 of a model with full tables."""
    folder = tmp_path_factory.mktemp("full")
    for version in (1, 2):
        write_artifact(small_spec("full"), folder, "m", version, seed=version)
    return folder / "m"


@pytest.fixture
def repository(full: Path, tmp_path: Path) -> Path:
    """Has version 1 of `m`."""
    shutil.copytree(full / "1", tmp_path / "m/1")
    return tmp_path


def weights(repository: Path, version: int = 1) -> Path:
    return repository / f"m/{version}/model.weights"


def flip_a_bit(path: Path) -> None:
    """In place: the last bit of a weight, which no golden row shows, and as if nothing had been written."""
    before = path.stat()
    with path.open("r+b") as file:
        (first,) = file.read(1)
        file.seek(0)
        file.write(bytes([first ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def overwrite(path: Path, content: bytes) -> None:
    with path.open("r+b") as file:
        file.write(content)


def ready(client: httpx.Client) -> bool:
    return client.get("/readyz").status_code == 200


def test_a_server_does_not_start_with_weights_that_were_changed(repository: Path) -> None:
    flip_a_bit(weights(repository))
    command = [str(SCRIPTS / "thimble-serve"), str(repository), "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=START_SECONDS)
    assert done.returncode == 1
    assert "m/1/model.onnx: external data 'model.weights' is not what was exported" in done.stderr


def test_a_release_of_weights_that_were_changed_is_refused(repository: Path, full: Path) -> None:
    with serving(repository) as (_, client):
        shutil.copytree(full / "2", repository / "m/2")
        flip_a_bit(weights(repository, 2))
        refused = put(client, live=2)
        assert refused.status_code == 400
        assert "external data 'model.weights' is not what was exported" in refused.json()["error"]
        assert answers(client) == 1
        shutil.copy2(full / "2/model.weights", weights(repository, 2))
        assert put(client, live=2).status_code == 200 and answers(client) == 2


def test_polling_looks_at_the_weights_too(repository: Path, full: Path) -> None:
    with serving(repository, "--poll-s", "0.1") as (server, client):
        shutil.copytree(full / "2", repository / "m/2.copy")
        flip_a_bit(repository / "m/2.copy/model.weights")
        (repository / "m/2.copy").rename(repository / "m/2")
        server.wait_for_line("refused .*m/2/model.onnx: external data 'model.weights' is not what was exported")
        flip_a_bit(weights(repository, 2))  # now they are again, and of model.onnx nothing was touched
        until(lambda: answers(client) == 2)


def test_weights_that_are_overwritten_while_they_are_served_score_no_more(repository: Path, full: Path) -> None:
    good = weights(repository).read_bytes()
    with serving(repository) as (server, client):
        before = score(client).json()["scores"]
        overwrite(weights(repository), (full / "2/model.weights").read_bytes())
        until(lambda: not ready(client))
        for path in ("/v1/score", "/v1/models/m/versions/1/score"):
            refused = score(client, path=path)
            assert refused.status_code == 503
            assert "version 1 of m does not score: external data 'model.weights'" in refused.json()["error"]
        assert client.get("/v2/models/m/ready").status_code == 503
        assert client.get("/healthz").status_code == 200
        server.wait_for_line("version 1 of m does not score: external data 'model.weights' is not what was exported")
        overwrite(weights(repository), good)
        until(lambda: ready(client))
        assert score(client).json()["scores"] == before
        flip_a_bit(weights(repository))  # of the same size and the same time
        until(lambda: not ready(client))
        shutil.copytree(full / "2", repository / "m/2")
        assert put(client, live=2).status_code == 200
        until(lambda: ready(client))
        assert answers(client) == 2


def test_weights_that_are_truncated_while_they_are_served_are_not_touched_any_more(repository: Path) -> None:
    with serving(repository) as (server, client):
        os.truncate(weights(repository), 1)
        until(lambda: not ready(client))
        assert score(client).status_code == 503 and server.process.poll() is None


def test_the_version_before_answers_for_one_whose_weights_were_overwritten(repository: Path, full: Path) -> None:
    with serving(repository) as (_, client):
        shutil.copytree(full / "2", repository / "m/2")
        assert put(client, live=2).status_code == 200 and answers(client) == 2
        overwrite(weights(repository, 2), (full / "1/model.weights").read_bytes())
        until(lambda: answers(client) == 1)
        assert ready(client)
        assert score(client, path="/v1/models/m/versions/2/score").status_code == 503


def test_a_canary_whose_weights_were_overwritten_gets_no_requests(repository: Path, full: Path) -> None:
    with serving(repository) as (_, client):
        shutil.copytree(full / "2", repository / "m/2")
        assert put(client, live=1, canary={"version": 2, "weight": 0.999}).status_code == 200
        overwrite(weights(repository, 2), (full / "1/model.weights").read_bytes())
        until(lambda: score(client, path="/v1/models/m/versions/2/score").status_code == 503)
        assert {answers(client) for _ in range(20)} == {1} and ready(client)


def test_weights_that_others_are_renamed_over_stay_as_they_are(repository: Path, full: Path) -> None:
    with serving(repository) as (_, client):
        before = score(client).json()["scores"]
        shutil.copy(full / "2/model.weights", repository / "new")
        (repository / "new").rename(weights(repository))
        shutil.copytree(full / "2", repository / "m/2")
        assert put(client, live=2).status_code == 200  # takes longer than to notice what is wrong
        for _ in range(100):
            old = score(client, path="/v1/models/m/versions/1/score")
            assert old.status_code == 200 and old.json()["scores"] == before
