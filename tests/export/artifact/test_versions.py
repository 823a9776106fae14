import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from testing.artifacts import write_artifact
from testing.disk import files_no_larger_than
from testing.samples import small_spec
from thimble.export.artifact.graph import ExportError
from thimble.export.artifact.versions import new_version

ROOT = Path(__file__).parents[3]
HALF_WAY = """
import signal, sys
from pathlib import Path
from testing.artifacts import random_features
from testing.samples import small_spec
from thimble.export.artifact.pipeline import publish
from thimble.models.nn.dlrm import DLRM

def held_out():
    print("half-way", flush=True)
    signal.pause()
    yield

spec = small_spec()
publish(spec, DLRM(spec).eval(), random_features(spec, 4), Path(sys.argv[1]), held_out=held_out())
"""


def versions(repository: Path, name: str = "small") -> list[str]:
    return sorted(path.name for path in (repository / name).iterdir() if path.name.isdecimal())


def test_a_killed_export_leaves_no_version(tmp_path: Path) -> None:
    write_artifact(small_spec(), tmp_path)
    command = [sys.executable, "-c", HALF_WAY, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        assert child.stdout is not None and child.stdout.readline() == "half-way\n"
        (written,) = (tmp_path / "small").glob(".*/model.onnx")
        assert written.stat().st_size
        child.kill()
    assert versions(tmp_path) == ["1"]
    assert write_artifact(small_spec(), tmp_path).parent.name == "2"


KILLED = """
import os, random, signal, sys, time
from pathlib import Path
from thimble.export.artifact.versions import new_version

def export(repository):
    child = os.fork()
    if not child:
        with new_version(repository, "m") as (folder, _):
            for name in ("model.onnx", "model.weights"):
                (folder / name).write_bytes(bytes(1 << 20))
        os._exit(0)
    return child

repository = Path(sys.argv[1])
begun = time.monotonic()
os.waitpid(export(repository), 0)
seconds = time.monotonic() - begun
random.seed(0)
for _ in range(20):
    child = export(repository)
    time.sleep(random.uniform(0, 1.5 * seconds))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""


def test_an_export_that_is_killed_at_any_moment_leaves_whole_versions(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=True, cwd=ROOT)
    found = [folder for folder in (tmp_path / "m").iterdir() if folder.name.isdecimal()]
    assert len(found) > 1
    for folder in found:
        assert {file.name: file.stat().st_size for file in folder.iterdir()} == {
            "model.onnx": 1 << 20,
            "model.weights": 1 << 20,
        }


def test_a_version_appears_whole(tmp_path: Path) -> None:
    with new_version(tmp_path, "m") as (folder, target):
        (folder / "model.onnx").write_text("model")
        assert not target.exists()
        assert versions(tmp_path, "m") == []
    assert target == tmp_path / "m" / "1"
    assert [path.name for path in target.iterdir()] == ["model.onnx"]
    assert [path.name for path in (tmp_path / "m").iterdir()] == ["1"]


def test_a_failed_export_leaves_what_was_there(tmp_path: Path) -> None:
    def fail(repository: Path) -> None:
        with new_version(repository, "m"):
            raise KeyboardInterrupt

    (tmp_path / "old").mkdir()
    (tmp_path / "with" / "m").mkdir(parents=True)
    for repository, left in (("new", False), ("old", True), ("with", True)):
        with pytest.raises(KeyboardInterrupt):
            fail(tmp_path / repository)
        assert (tmp_path / repository).exists() == left
    assert not list((tmp_path / "old").iterdir())
    assert not list((tmp_path / "with" / "m").iterdir())


def test_a_full_disk_and_a_name_that_cannot_be_read(tmp_path: Path) -> None:
    with (
        files_no_larger_than(1000),
        pytest.raises(ExportError, match=r"/m/1 cannot be written: File too large$"),
        new_version(tmp_path, "m") as (folder, _),
    ):
        (folder / "model.onnx").write_bytes(bytes(2000))
    with (
        pytest.raises(
            ExportError, match=r"ONNX Runtime cannot read a file whose name is not UTF-8; choose another --rep"
        ),
        new_version(tmp_path / "caf\udce9", "m"),
    ):
        raise AssertionError
    assert not list(tmp_path.iterdir())


def test_a_version_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "m" / "4").mkdir(parents=True)
    with (
        pytest.raises(ExportError, match=r"/m/4 exists; a version is never overwritten"),
        new_version(tmp_path, "m", 4),
    ):
        raise AssertionError
    with new_version(tmp_path, "m") as (_, target):
        pass
    assert target.name == "5"


def test_a_process_that_is_told_to_stop_leaves_nothing(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with pytest.raises(SystemExit) as ended, new_version(tmp_path, "demo"):
            os.kill(os.getpid(), signal.SIGTERM)
        assert ended.value.code == 128 + signal.SIGTERM
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)
    assert not [*tmp_path.iterdir()]
