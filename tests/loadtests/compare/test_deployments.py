import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from testing.artifacts import write_artifact
from testing.samples import small_spec
from thimble.loadtests.compare.deployments import DeploymentError, VersionFolder, find_version, serving, staged
from thimble.loadtests.traffic.served import LoadError

ORPHAN = """
import sys, time
from pathlib import Path
from thimble.loadtests.compare.deployments import Server
server = Server(Path(sys.argv[1]), Path(sys.argv[2]))
server.wait_until("/readyz")
print(server.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Versions 2 and 10 of a model with full tables."""
    folder = tmp_path_factory.mktemp("models")
    for version in (2, 10):
        write_artifact(small_spec("full"), folder, "m", version)
    return folder


def test_the_newest_version_is_taken(repository: Path) -> None:
    found = find_version(repository)
    assert found == VersionFolder(repository / "m/10", "m")
    assert [path.name for path in found.files] == ["model.onnx", "model.weights"]
    assert found.size == sum(path.stat().st_size for path in found.files)
    assert find_version(repository / "m/2/model.onnx") == VersionFolder(repository / "m/2", "m")


def test_what_is_no_artifact_is_said(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="no such file or folder, and no URL"):
        find_version(tmp_path / "none")
    with pytest.raises(LoadError, match=r"neither a model\.onnx nor a repository"):
        find_version(repository / "m")
    for name in ("one", "two"):
        (tmp_path / name / "1").mkdir(parents=True)
        (tmp_path / name / "1" / "model.onnx").touch()
    with pytest.raises(LoadError, match="several models, name one with --model: one, two"):
        find_version(tmp_path)
    assert find_version(tmp_path, "two").model == "two"


def test_a_repository_of_ones_own_leaves_the_other_as_it_is(repository: Path, tmp_path: Path) -> None:
    before = sorted(repository.rglob("*"))
    own = staged(find_version(repository), tmp_path)
    assert own.folder == tmp_path / "m/1"
    with serving(tmp_path, tmp_path / "log") as server:
        assert server.wait_until("/readyz") > 0
    assert server.process.returncode == 0
    assert sorted(repository.rglob("*")) == before


def test_a_server_that_cannot_start_has_the_last_word(tmp_path: Path) -> None:
    (tmp_path / "m/1").mkdir(parents=True)
    (tmp_path / "m/1/model.onnx").write_bytes(b"no model")
    with (
        pytest.raises(DeploymentError, match="truncated, or not an ONNX file"),
        serving(tmp_path, tmp_path / "log") as server,
    ):
        server.wait_until("/readyz")


def test_servers_end_with_the_process_that_started_them(repository: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", ORPHAN, str(repository), str(tmp_path / "log")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        server = psutil.Process(int(parent.stdout.readline()))
        os.kill(parent.pid, signal.SIGKILL)
    psutil.wait_procs([server], timeout=30)
    assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE
