"""What lies where a model or a release should, and is no file: to read it may never end, or never begin."""

import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from testing.artifacts import write_artifact
from testing.conditions import until
from testing.samples import small_spec
from testing.servers import SCRIPTS, START_SECONDS
from tests.service.releases.operator import KEY, answers, put, serving


def pipe(path: Path) -> None:
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.mkdir()


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def listener(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as it:
        here = Path.cwd()
        os.chdir(path.parent)  # such a name may not be long
        try:
            it.bind(path.name)
        finally:
            os.chdir(here)


Kind = Callable[[Path], None]
KINDS: dict[Kind, str] = {
    pipe: "a pipe, a socket or a device, not a file",
    folder: "a folder, not a file",
    device: "a pipe, a socket or a device, not a file",
    listener: "a pipe, a socket or a device, not a file",
}


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_artifact(small_spec(), tmp_path_factory.mktemp("good"), "m", 1).parent


@pytest.fixture
def repository(version: Path, tmp_path: Path) -> Path:
    """Has versions 1 and 2 of `m`, of which the second has no model yet."""
    shutil.copytree(version, tmp_path / "m/1")
    (tmp_path / "m/2").mkdir()
    return tmp_path


def test_a_server_starts_with_what_is_a_file(repository: Path) -> None:
    for number, kind in enumerate(KINDS, 2):
        (repository / f"m/{number}").mkdir(exist_ok=True)
        kind(repository / f"m/{number}/model.onnx")
    with serving(repository) as (server, client):
        assert answers(client) == 1
        for number, sentence in enumerate(KINDS.values(), 2):
            server.wait_for_line(f"refused .*m/{number}/model.onnx: {sentence}")


def test_a_pipe_alone_is_nothing_to_serve(tmp_path: Path) -> None:
    pipe(tmp_path / "model.onnx")
    command = [str(SCRIPTS / "thimble-serve"), str(tmp_path / "model.onnx"), "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=START_SECONDS)
    assert done.returncode == 1 and "neither a file nor a folder" in done.stderr


def test_what_is_no_file_is_refused_while_others_are_served(repository: Path) -> None:
    with serving(repository, "--poll-s", "0.1") as (server, client):
        for kind, sentence in KINDS.items():
            path = repository / "m/2/model.onnx"
            kind(path)
            refused = put(client, live=2)
            assert refused.status_code == 400 and f"m/2/model.onnx: {sentence}" in refused.json()["error"]
            path.rmdir() if path.is_dir() else path.unlink()
        pipe(repository / "m/2/model.onnx")
        server.wait_for_line("ERROR.*refused .*m/2/model.onnx: a pipe")
        content = (repository / "m/1/model.onnx").read_bytes()
        pushed = client.put("/v1/models/m/versions/2", content=content, headers=KEY)
        assert pushed.status_code == 507 and "m/2 cannot be written" in pushed.json()["error"]
        assert answers(client) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_release_that_is_no_file_is_not_waited_for(repository: Path, kind: Kind) -> None:
    with serving(repository, "--poll-s", "0.1") as (server, client):
        kind(repository / "m/release.json")
        server.wait_for_line(f"release.json: {KINDS[kind]}")
        assert answers(client) == 1


def test_a_release_is_not_read_whatever_its_size(repository: Path) -> None:
    with serving(repository, "--poll-s", "0.1") as (server, client):
        with (repository / "release.json").open("wb") as file:
            file.truncate(1 << 40)
        (repository / "release.json").rename(repository / "m/release.json")
        server.wait_for_line("m/release.json: 1099511627776 bytes are more than the limit of 1048576")
        (repository / "m/release.json").unlink()
        assert put(client, live=1).status_code == 200
        until(lambda: client.get("/readyz").status_code == 200)
