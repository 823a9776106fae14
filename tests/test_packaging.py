"""What pip installs: a wheel and a source archive of the tracked files, each into an environment of its own.

The environments see the packages of the one that runs this test, through a .pth file, so that nothing is downloaded and
PyTorch is not installed twice: that Thimble's requirements are complete is shown by `make run`, not here.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest

from testing.data import DEMO
from testing.servers import running
from thimble.ops.library import LIBRARY

ROOT = Path(__file__).parents[1]
HEADERS = Path("build") / "onnxruntime-headers"
NAME = f"thimble_ctr-{version('thimble-ctr')}"
OFFLINE = ("--no-deps", "--no-index", "--disable-pip-version-check")
ADMIN = "an-admin-key-for-this-test"


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tracked files as they are, and ONNX Runtime's headers where `make ops` fetched them."""
    clone = tmp_path_factory.mktemp("clone")
    for name in subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True).split("\0"):
        if name and (ROOT / name).exists():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, clone / name)
    if (ROOT / HEADERS).is_dir():
        (clone / HEADERS).parent.mkdir()
        (clone / HEADERS).symlink_to(ROOT / HEADERS)
    return clone


@pytest.fixture(scope="session")
def wheel(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(clone, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def source_archive(clone: Path) -> Path:
    build = "from setuptools.build_meta import build_sdist; build_sdist('dist')"
    subprocess.run([sys.executable, "-c", build], cwd=clone, check=True, capture_output=True)
    return clone / "dist" / f"{NAME}.tar.gz"


@pytest.fixture(scope="session")
def rebuilt(source_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that pip makes of the source archive, the native lookup in it only where the headers are installed."""
    return built(source_archive, tmp_path_factory.mktemp("rebuilt"))


@pytest.fixture(scope="session", params=["wheel", "rebuilt"])
def environment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment into which pip has installed one of the two, and nothing else."""
    environment = tmp_path_factory.mktemp("environment")
    venv.create(environment, with_pip=False)
    pip("--python", environment / "bin" / "python", "install", *OFFLINE, request.getfixturevalue(request.param))
    packages = [path for path in sys.path if path.endswith("site-packages")]
    (site_packages(environment) / "others.pth").write_text("\n".join(packages))
    return environment


def built(source: Path, folder: Path) -> Path:
    """The wheel of a folder or an archive, made by pip in `folder`."""
    pip("wheel", *OFFLINE, "--no-build-isolation", "--wheel-dir", folder, source)
    (wheel,) = folder.iterdir()
    return wheel


def pip(*arguments: str | Path) -> None:
    done = subprocess.run([sys.executable, "-m", "pip", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def site_packages(environment: Path) -> Path:
    (found,) = environment.glob("lib/python*/site-packages")
    return found


def test_one_name_is_installed(environment: Path) -> None:
    names = {path.name for path in site_packages(environment).iterdir()}
    assert names == {"thimble", f"{NAME}.dist-info", "others.pth"}


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("thimble-serve", "--help"), "usage: thimble-serve"),
        (("thimble-load", "--help"), "compare"),
        (("thimble-export", "inspect", str(DEMO)), "demo"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_the_commands_work(environment: Path, command: tuple[str, ...], says: str, tmp_path: Path) -> None:
    script, *arguments = command
    done = subprocess.run([environment / "bin" / script, *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert says in done.stdout


def test_a_server_scores_and_takes_releases_in_a_folder_that_has_packages_of_the_same_names(
    environment: Path, tmp_path: Path
) -> None:
    for name in ("models.py", "service.py", "export/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("raise ImportError('this is not of Thimble')\n")
    shutil.copytree(DEMO.parents[1], tmp_path / "repository" / "demo")
    scripts = environment / "bin"
    with (
        running("repository", env={"THIMBLE_ADMIN_KEYS": ADMIN}, cwd=tmp_path, scripts=scripts) as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
    ):
        assert [client.get(path).status_code for path in ("/", "/page/main.js", "/page/page.css")] == [200] * 3
        assert client.get("/readyz").status_code == 200
        scored = client.post("/v1/score", json={"features": {"I1": 3, "C1": "68fd1e64"}})
        assert scored.status_code == 200, scored.text
        assert 0 < scored.json()["scores"][0] < 1
        pushed = client.put(
            "/v1/models/demo/versions/2",
            content=DEMO.read_bytes(),
            headers={"Authorization": f"Bearer {ADMIN}"},
        )
        assert pushed.status_code in (200, 201), pushed.text


def test_the_wheel_has_the_native_lookup_where_it_can_be_built_and_the_pages_of_the_report(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert ("thimble/ops/libthimble_ops.so" in names) == LIBRARY.is_file()
    assert {f"thimble/loadtests/report/report.{form}" for form in ("html", "md")} <= names
    assert f"{NAME}.dist-info/licenses/LICENSE" in names
    assert ("-py3-none-any" in wheel.name) != LIBRARY.is_file()


def test_the_source_archive_has_all_that_a_build_needs(source_archive: Path) -> None:
    with tarfile.open(source_archive) as archive:
        names = {os.path.relpath(name, NAME) for name in archive.getnames()}
    ops = {
        f"ops/{path.name}" for path in (ROOT / "ops").iterdir() if path.suffix in {".cc", ".h", ".cu", ".txt", ".py"}
    }
    assert ops | {"LICENSE", "README.md", "pyproject.toml", "setup.py", "ops/exported.map"} <= names
    assert not [name for name in names if name.endswith((".so", ".pyc"))]
