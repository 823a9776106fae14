"""Versions of a model come and go while a server answers."""

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import onnx
import psutil
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from tests.artifacts import spoil, write_artifact
from tests.samples import small_spec
from tests.servers import Server, running

ADMIN = "the-key-of-those-on-call"
KEY = {"Authorization": f"Bearer {ADMIN}"}
ENV = {"THIMBLE_ADMIN_KEYS": ADMIN}
SPOILED_ABOVE = 1000.0


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Versions 1 to 4 of a model, of which each scores otherwise, and the fourth gives NaN for large numbers."""
    folder = tmp_path_factory.mktemp("versions")
    spec = small_spec(kinds=("string", "string", "int", "hex"))
    for version in range(1, 5):
        write_artifact(spec, folder, "m", version, seed=version)
    spoil(folder / "m/4/model.onnx", SPOILED_ABOVE)
    return folder / "m"


@pytest.fixture
def repository(versions: Path, tmp_path: Path) -> Path:
    """Has version 1 of `m`."""
    shutil.copytree(versions / "1", tmp_path / "m/1")
    return tmp_path


def bring(repository: Path, versions: Path, *numbers: int) -> None:
    for number in numbers:
        shutil.copytree(versions / str(number), repository / f"m/{number}")


@contextmanager
def serving(repository: Path, *flags: str) -> Iterator[tuple[Server, httpx.Client]]:
    with running(repository, *flags, env=ENV) as server, httpx.Client(base_url=server.url, timeout=60) as client:
        yield server, client


def put(client: httpx.Client, **release: Any) -> httpx.Response:
    return client.put("/v1/models/m/release", json=release, headers=KEY)


def state(client: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/v1/models/m/release", headers=KEY).json()
    return found


def score(client: httpx.Client, first: float = 1.0, path: str = "/v1/score", key: str | None = None) -> httpx.Response:
    headers = {} if key is None else {"Routing-Key": key}
    return client.post(path, json={"features": {"d0": first}}, headers=headers)


def answers(client: httpx.Client) -> int:
    """The version that answers."""
    response = score(client)
    assert response.status_code == 200, response.text
    version: int = response.json()["version"]
    return version


def metric(client: httpx.Client, name: str, **labels: str) -> float:
    """The sum of a metric's samples that have these labels."""
    total = 0.0
    for line in client.get("/metrics").text.splitlines():
        if line.startswith(name + "{") and all(f'{key}="{value}"' in line for key, value in labels.items()):
            total += float(line.rsplit(" ", 1)[1])
    return total


def until(condition: Callable[[], bool]) -> None:
    end = monotonic() + 30
    while not condition():
        assert monotonic() < end


def children(server: Server) -> list[psutil.Process]:
    """Processes apart."""
    found = []
    for process in psutil.Process(server.process.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # a zombie, or gone by now
            if "service.apart" in process.cmdline():
                found.append(process)
    return found


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
            "stored": [1, 2],
            "refused": {},
            "taken_out": [],
        }
        assert metric(client, "thimble_live_version", model="m") == 1
        assert metric(client, "thimble_release_changes_total", outcome="released") == 3
        assert metric(client, "thimble_model_info", version="2") == 1
        server.wait_for_line("m: version 2 answers now, version 1 before")
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


def test_the_same_key_goes_to_the_same_version_on_every_replica(repository: Path, versions: Path) -> None:
    bring(repository, versions, 2)
    (repository / "m/release.json").write_text('{"live": 1, "canary": {"version": 2, "weight": 0.25}}')
    chosen = []
    for _ in range(2):
        with serving(repository) as (_, client):
            keys = [f"user-{number}" for number in range(200)]
            chosen.append([score(client, key=key).json()["version"] for key in keys])
            again = [score(client, key=key).json()["version"] for key in keys]
            assert again == chosen[-1]
            without = [answers(client) for _ in range(200)]
            assert 20 < without.count(2) < 80
    assert chosen[0] == chosen[1] and 20 < chosen[0].count(2) < 80


def test_a_canary_that_gives_no_scores_is_taken_out_and_nobody_notices(repository: Path, versions: Path) -> None:
    with serving(repository) as (server, client):
        bring(repository, versions, 4)
        assert put(client, canary={"version": 4, "weight": 0.5}).json()["canary"] == {"version": 4, "weight": 0.5}
        found = {answers(client) for _ in range(40)}
        assert found == {1, 4}
        while state(client)["canary"]:
            response = score(client, 2 * SPOILED_ABOVE)
            assert (response.status_code, response.json()["version"]) == (200, 1)
        server.wait_for_line("version 4 of m gives no usable scores and is taken out")
        assert {answers(client) for _ in range(20)} == {1}
        assert metric(client, "thimble_unusable_rows_total", version="4") > 10
        assert metric(client, "thimble_release_changes_total", outcome="rolled_back") == 1
    assert json.loads((repository / "m/release.json").read_text()) == {"live": 1, "taken_out": [4]}


def test_a_live_version_that_gives_no_scores_is_rolled_back(repository: Path, versions: Path) -> None:
    with serving(repository) as (server, client):
        bring(repository, versions, 4)
        assert put(client).json()["live"] == 4
        response = score(client, 2 * SPOILED_ABOVE)
        assert (response.status_code, response.json()) == (
            500,
            {"error": "the model gave a score that is not a number"},
        )
        assert answers(client) == 4  # one freak row is no reason
        until(lambda: score(client, 2 * SPOILED_ABOVE).status_code == 200)
        assert answers(client) == 1
        server.wait_for_line("version 4 of m gives no usable scores and is taken out")
        assert client.get("/readyz").status_code == 200
        assert (state(client)["standby"], state(client)["taken_out"]) == ([], [4])
        back = client.post("/v1/models/m/rollback", headers=KEY)  # asked for by somebody who was a moment late
        assert (back.status_code, back.json()["error"]) == (409, "there is no version of m to go back to from 1")
        assert answers(client) == 1


@contextmanager
def held_up(server: Server) -> Iterator[None]:
    """A process apart that was just asked for, and starts, gets no further for as long as this lasts."""
    until(lambda: bool(children(server)))
    (process,) = children(server)
    process.suspend()
    yield
    process.resume()


def end_process_apart(server: Server) -> None:
    for process in children(server):
        process.kill()
    until(lambda: not children(server))


def test_a_version_is_taken_out_while_another_is_being_loaded(repository: Path, versions: Path) -> None:
    with serving(repository) as (server, client), ThreadPoolExecutor(1) as pool:
        bring(repository, versions, 2, 4)
        assert put(client, live=4).status_code == 200
        end_process_apart(server)
        release = pool.submit(put, client, live=2, also=[4])
        with held_up(server):
            until(lambda: score(client, 2 * SPOILED_ABOVE).status_code == 200)
        assert release.result().status_code == 409
        assert "was taken out meanwhile, so ask again" in release.result().json()["error"]
        assert answers(client) == 1
        assert put(client, live=2).json()["live"] == 2


def test_a_version_that_appears_does_not_undo_what_was_taken_out_meanwhile(repository: Path, versions: Path) -> None:
    with serving(repository, "--poll-s", "0.1") as (server, client):
        bring(repository, versions, 4)
        until(lambda: answers(client) == 4)
        end_process_apart(server)
        shutil.copytree(versions / "2", repository / "m/5")
        with held_up(server):
            until(lambda: score(client, 2 * SPOILED_ABOVE).status_code == 200)
        content = (versions / "3/model.onnx").read_bytes()
        stored = client.put("/v1/models/m/versions/6", content=content, headers=KEY)  # waits for its turn
        assert stored.status_code == 200
        assert answers(client) == 1 and state(client)["live"] == 1


def test_a_shadow_is_compared_and_never_answers(repository: Path, versions: Path) -> None:
    with serving(repository) as (server, client):
        bring(repository, versions, 4)
        before = score(client).json()
        assert put(client, shadow={"version": 4}).json()["shadow"] == {"version": 4, "share": 1.0, "running": True}
        for _ in range(5):
            assert score(client).json() == before
        until(lambda: metric(client, "thimble_shadow_rows_total", version="4", live="1", outcome="scored") == 5)
        assert metric(client, "thimble_shadow_diverged_rows_total", above="0.0001") == 5
        assert metric(client, "thimble_shadow_difference_total") > 0
        assert score(client, 2 * SPOILED_ABOVE).status_code == 200
        until(lambda: metric(client, "thimble_shadow_rows_total", outcome="not_finite") == 1)
        server.wait_for_line("the shadow, version 4 of m, gave no usable score for 1 rows")
        (process,) = children(server)
        process.kill()
        server.wait_for_line("the shadow, version 4 of m, was killed by SIGKILL; it is started again in 1 s")
        assert score(client).json() == before
        until(lambda: metric(client, "thimble_shadow_up", version="4") == 1)
        assert metric(client, "thimble_shadow_crashes_total", version="4") == 1
        assert answers(client) == 1
        assert metric(client, "thimble_shadow_rows_total", outcome="dropped") == 1
        until(lambda: metric(client, "thimble_shadow_rows_total", outcome="scored") == 6)
        assert put(client, live=1).json()["shadow"] is None
        until(lambda: not children(server))


def test_a_shadow_ends_with_its_server(repository: Path, versions: Path) -> None:
    server = Server(repository, "--port", "0", env=ENV)
    _ = server.url
    bring(repository, versions, 2)
    with httpx.Client(base_url=server.url, timeout=60) as client:
        put(client, shadow={"version": 2})
    (process,) = children(server)
    assert "THIMBLE_ADMIN_KEYS" not in process.environ()  # it runs files that came from elsewhere
    server.process.kill()
    server.wait()
    _, alive = psutil.wait_procs([process], timeout=30)
    assert not alive


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
        server.wait_for_line(f"refused a change of m, which stays as it was: .*{reason}")
        assert metric(client, "thimble_release_changes_total", outcome="refused") == 1
        index = client.post("/v2/repository/index", headers=KEY).json()
        assert [entry["state"] for entry in index] == ["READY", "UNAVAILABLE"] and reason in index[1]["reason"]
        content = path.read_bytes()
        pushed = client.put("/v1/models/m/versions/7", content=content, headers=KEY)
        assert pushed.status_code == 400 and reason in pushed.json()["error"]
        assert sorted(entry.name for entry in (repository / "m").iterdir()) == ["1", "2"]


def test_a_file_that_kills_what_loads_it_is_refused(repository: Path) -> None:
    with serving(repository) as (server, client):
        (repository / "m/2").mkdir()
        os.mkfifo(repository / "m/2/model.onnx")  # opening it takes for ever
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


def test_a_version_is_pushed_staged_and_released(repository: Path, versions: Path) -> None:
    content = (versions / "2/model.onnx").read_bytes()
    with serving(repository) as (_, client):
        assert client.put("/v1/models/m/versions/2", content=content, headers=KEY).json() == {
            "model": "m",
            "version": 2,
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


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "sentence"),
    [
        ("PUT", "/v1/models/m/release", '{"live": 9}', 409, "version 9 of m is not in the repository"),
        ("PUT", "/v1/models/m/release", "[]", 400, "not an object"),
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
        while any(state(it)["canary"] for it in fresh(server, 6)):
            for it in fresh(server, 3):
                assert score(it, 2 * SPOILED_ABOVE).status_code == 200
        assert {answers(it) for it in fresh(server, 6)} == {2}
        for it in everywhere:
            it.close()


def fresh(server: Server, number: int) -> Iterator[httpx.Client]:
    """Clients with a connection each."""
    for _ in range(number):
        with httpx.Client(base_url=server.url, timeout=60) as client:
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
        for response in (client.put("/v1/models/m/versions/2", content=content, headers=KEY), put(client, live=1)):
            assert response.status_code == 507 and "cannot be written: File too large" in response.json()["error"]
        server.wait_for_line("refused a change of m, which stays as it was: .*m/2 cannot be written")
        assert metric(client, "thimble_release_changes_total", outcome="refused") == 2
        assert [path.name for path in (repository / "m").iterdir()] == ["1"]
        assert answers(client) == 1
        process.rlimit(psutil.RLIMIT_FSIZE, unlimited)
        assert client.put("/v1/models/m/versions/2", content=content, headers=KEY).status_code == 200
        assert put(client, live=2).json()["live"] == 2


def test_a_single_file_has_no_other_versions(versions: Path) -> None:
    with serving(versions / "1/model.onnx") as (_, client):
        response = put(client, live=1)
        assert response.status_code == 409 and "is one file; models come and go in a repository" in response.text
