"""Who may ask, and what those see who may not."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import httpx
import psutil
import pytest

from testing.servers import SCRIPTS, Server, running
from thimble.client import Client
from thimble.models.spec import ModelSpec

API, ADMIN = "a-key-for-scoring-rows", "a-key-for-those-on-call"
ENV = {"THIMBLE_API_KEYS": API, "THIMBLE_ADMIN_KEYS": ADMIN}
EVERYWHERE = [
    ("POST", "/v1/score"),
    ("POST", "/v1/models/small/score"),
    ("POST", "/v1/models/none/score"),
    ("POST", "/v2/models/small/infer"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/small"),
    ("GET", "/v1/models/small/golden"),
    ("GET", "/v2"),
    ("GET", "/v2/models/small"),
    ("GET", "/v2/models/none/ready"),
    ("GET", "/v2/models/stats"),
    ("GET", "/metrics"),
    ("GET", "/nothing/here"),
    ("POST", "/v2/repository/index"),
]
CHANGES = [
    ("POST", "/v2/repository/models/small/load"),
    ("POST", "/v2/repository/models/none/load"),
    ("POST", "/v2/repository/models/small/unload"),
    ("GET", "/v1/models/small/release"),
    ("PUT", "/v1/models/none/release"),
    ("POST", "/v1/models/small/rollback"),
    ("PUT", "/v1/models/small/versions/2"),
    ("DELETE", "/v1/models/small/versions/2"),
]


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def until_status(server: Server, key: str, status: int) -> None:
    """Until every worker says so: each request on a connection of its own, they are dealt out in turn."""
    end = monotonic() + 30
    while {httpx.get(f"{server.url}/v1/models", headers=bearer(key)).status_code for _ in range(4)} != {status}:
        assert monotonic() < end


@pytest.fixture(scope="module")
def guarded(small_artifact: Path) -> Iterator[Server]:
    with running(small_artifact.parents[2], env=ENV) as server:
        yield server


@contextmanager
def asking(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


@pytest.mark.parametrize("headers", [{}, bearer("x" * 22), bearer(API + "x"), bearer(API[:-1]), {"Authorization": API}])
def test_without_a_key_all_paths_say_the_same_and_nothing_of_models(guarded: Server, headers: dict[str, str]) -> None:
    with asking(guarded) as client:
        found = [client.request(method, path, headers=headers, content=b"{}") for method, path in EVERYWHERE + CHANGES]
        assert {response.status_code for response in found} == {401}
        assert len({response.text for response in found}) == 1 and "small" not in found[0].text
        assert {response.headers["www-authenticate"] for response in found} == {"Bearer"}
        for path in ("/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"):
            assert client.get(path).status_code == 200


def test_a_key_for_scoring_scores_and_changes_nothing(guarded: Server, small: ModelSpec) -> None:
    with asking(guarded) as client:
        client.headers.update(bearer(API))
        for method, path in EVERYWHERE:
            response = client.request(method, path, content=b"{}")
            if path == "/v2/repository/index":
                assert response.status_code == 403
            else:
                assert response.status_code not in (401, 403), path
        said = {client.request(method, path, content=b"{}").text for method, path in CHANGES}
        assert said == {'{"error":"this key is for scoring; an admin key is needed"}'}
    assert small.golden is not None
    with Client(guarded.url, key=API) as scorer:
        assert scorer.score(small.golden.features) == pytest.approx(small.golden.scores, abs=1e-6)


def test_an_admin_key_does_both(guarded: Server) -> None:
    with asking(guarded) as client:
        client.headers.update(bearer(ADMIN))
        assert client.get("/v1/models").status_code == 200
        assert client.post("/v2/repository/models/small/load").status_code == 200
        assert client.post("/v2/repository/index").json()[0]["state"] == "READY"


def test_without_an_admin_key_changes_are_off(server: Server) -> None:
    with asking(server) as client:
        for method, path in CHANGES:
            response = client.request(method, path, headers=bearer("anything" * 4), content=b"{}")
            assert response.status_code == 403
            assert response.json() == {"error": "this is off: no admin key is set (--admin-keys-file)"}
        assert client.post("/v2/repository/index").status_code == 200


def test_a_stranger_cannot_have_a_body_read(guarded: Server) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 65536

    with asking(guarded) as client:
        response = client.post("/v1/score", content=endless())
        assert response.status_code == 401 and response.headers["connection"] == "close"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_keys_are_changed_while_serving(small_artifact: Path, tmp_path: Path, workers: str) -> None:
    file = tmp_path / "keys"
    file.write_text("# those of the website\nthe-first-of-all-keys\n\n")
    flags = ("--api-keys-file", file, "--workers", workers)
    with running(small_artifact, *flags) as server, asking(server) as client:
        assert client.get("/v1/models", headers=bearer("the-first-of-all-keys")).status_code == 200
        file.write_text("the-first-of-all-keys\nthe-second-of-all-keys # of the shop\n")
        until_status(server, "the-second-of-all-keys", 200)
        assert client.get("/v1/models", headers=bearer("the-first-of-all-keys")).status_code == 200
        file.write_text("the-second-of-all-keys\n")
        until_status(server, "the-first-of-all-keys", 401)
        wrong = {"": "it holds no key", "short\n": "key 1 is not at least 16", "schlüssel": "keys are printable ASCII"}
        for broken, reason in wrong.items():
            file.write_text(broken)
            end = monotonic() + 30
            while not any(f"the keys stay as they were: {file}: {reason}" in line for line in server.lines):
                assert client.get("/v1/models", headers=bearer("the-second-of-all-keys")).status_code == 200
                assert monotonic() < end
        file.unlink()
        assert client.get("/v1/models", headers=bearer("the-second-of-all-keys")).status_code == 200
        file.write_text("the-third-of-all-keys\n")
        until_status(server, "the-third-of-all-keys", 200)
        assert "of-all-keys" not in "\n".join(server.lines)


def test_a_worker_that_is_replaced_knows_the_keys_in_force_though_their_file_is_broken(
    small_artifact: Path, tmp_path: Path
) -> None:
    file = tmp_path / "keys"
    file.write_text("the-first-of-all-keys\n")
    with running(small_artifact, "--api-keys-file", file, "--workers", "2") as server:
        supervisor = psutil.Process(server.process.pid)
        file.write_text("the-second-of-all-keys\n")
        until_status(server, "the-second-of-all-keys", 200)
        end = monotonic() + 30
        while len([line for line in server.lines if f"{file}: the new keys are in force" in line]) < 3:  # all processes
            assert monotonic() < end
            until_status(server, "the-second-of-all-keys", 200)
        file.unlink()
        for _ in range(2):
            victim = min(child.pid for child in supervisor.children())
            os.kill(victim, signal.SIGKILL)
            server.wait_for_line(f"worker {victim} died with status -9 and is replaced")
            until_status(server, "the-second-of-all-keys", 200)
            until_status(server, "the-first-of-all-keys", 401)  # revoked stays revoked
        assert len([line for line in server.lines if "is replaced" in line]) == 2
        assert "could not start" not in "\n".join(server.lines)


@pytest.mark.parametrize("variable", ["THIMBLE_API_KEYS", "THIMBLE_ADMIN_KEYS"])
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "it holds no key"),
        (" , ", "it holds no key"),
        ("schlüsselschlüsselschlüssel", "key 1 is not at least 16 printable characters"),
        (f"{API},short-key", "key 2 is not at least 16 printable characters"),
    ],
)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_variable_without_a_usable_key_opens_nothing(
    small_artifact: Path, variable: str, value: str, reason: str, workers: str
) -> None:
    server = Server(small_artifact, "--port", "0", "--workers", workers, env={variable: value})
    try:
        assert server.process.wait(30) == 1
    finally:
        server.process.terminate()  # one that did start
        server.wait()
    log = "\n".join(server.lines)
    assert log.count(f"{variable}: {reason}") == 1 and "short-key" not in log and "Traceback" not in log


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory"),
        ("# none\n", "it holds no key"),
        ("long-enough-for-a-key\nshort-key\n", "key 2 is not at least 16 printable characters"),
        ("a key with spaces in it\n", "key 1 is not at least 16 printable characters"),
    ],
)
def test_weak_keys_or_none_are_refused_at_the_start(
    small_artifact: Path, tmp_path: Path, content: str | None, reason: str
) -> None:
    file = tmp_path / "keys"
    if content is not None:
        file.write_text(content)
    server = Server(small_artifact, "--port", "0", "--admin-keys-file", file)
    assert server.wait() == 1
    log = "\n".join(server.lines)
    assert f"{file}: {reason}" in log and "short-key" not in log and "Traceback" not in log


def test_no_key_is_to_be_seen_anywhere(small_artifact: Path) -> None:
    with running(small_artifact, "--log-format", "json", env=ENV) as server, asking(server) as client:
        client.headers.update(bearer(ADMIN))
        seen = [client.get(path).text for path in ("/metrics", "/openapi.json", "/docs", "/v1/models", "/nothing")]
        seen.append(client.post("/v1/score", content=b"broken").text)
        seen += psutil.Process(server.process.pid).cmdline()
        shown = subprocess.run([SCRIPTS / "thimble-serve", "--help"], capture_output=True, text=True, check=True)
        seen += [shown.stdout, *server.lines]
        assert not any(key in text for key in (API, ADMIN) for text in seen)
        operations = client.get("/openapi.json").json()["paths"]
        assert operations["/v1/score"]["post"]["security"] == [{"key": []}]
        assert "401" in operations["/v1/score"]["post"]["responses"]
        assert "security" not in operations["/readyz"]["get"]
