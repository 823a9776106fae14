"""A server on a system without what Linux alone has. None is at hand, so real servers are started without it here."""

import shutil
import sys
from pathlib import Path

import httpx
import pytest

from testing.servers import Server, running
from thimble.client import Client
from thimble.models.spec import ModelSpec

ADMIN = "the-key-of-those-on-call"
THERE = """#!{python}
import ctypes, errno, os, socket, sys
import thimble.service.process.server, thimble.service.process.workers  # whose libraries know this system only as it is

def without_glibc(name, *options, **more):
    return object() if name is None else libraries(name, *options, **more)

def without_messages(family, kind, *options):
    if kind == socket.SOCK_SEQPACKET:
        raise OSError(errno.EPROTONOSUPPORT, os.strerror(errno.EPROTONOSUPPORT))
    return pairs(family, kind, *options)

def no_thread(*_):
    raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))

libraries, ctypes.CDLL = ctypes.CDLL, without_glibc
pairs, socket.socketpair = socket.socketpair, without_messages
os.setpriority = no_thread
del os.sched_setscheduler, os.SCHED_IDLE
sys.platform = "darwin"

from thimble.service.cli import main
main()
"""


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """A folder with a thimble-serve that runs as it would there."""
    script = tmp_path / "bin/thimble-serve"
    script.parent.mkdir()
    script.write_text(THERE.format(python=sys.executable))
    script.chmod(0o755)
    return script.parent


def test_models_are_served_and_released(small_artifact: Path, small: ModelSpec, scripts: Path, tmp_path: Path) -> None:
    repository = tmp_path / "models"
    shutil.copytree(small_artifact.parent, repository / "small/1")
    assert small.golden is not None
    key = {"Authorization": f"Bearer {ADMIN}"}
    with running(repository, env={"THIMBLE_ADMIN_KEYS": ADMIN}, scripts=scripts) as server:
        shutil.copytree(small_artifact.parent, repository / "small/2")
        release = f"{server.url}/v1/models/small/release"
        released = httpx.put(release, json={"live": 2}, headers=key, timeout=60)
        assert released.status_code == 200, released.text
        with Client(server.url, model="small", version=2) as client:
            assert client.score(small.golden.features) == pytest.approx(small.golden.scores, abs=1e-6)
        refused = httpx.put(release, json={"live": 2, "shadow": {"version": 1}}, headers=key, timeout=60)
    assert (refused.status_code, refused.json()["error"].partition(",")[0]) == (409, "a shadow needs Linux")
    assert not [line for line in server.lines if "Traceback" in line]
    assert server.process.returncode == 0


def test_several_workers_are_refused_at_once(small_artifact: Path, scripts: Path) -> None:
    server = Server(small_artifact, "--workers", "2", scripts=scripts)
    assert server.wait() == 1
    (line,) = server.lines
    assert "--workers above 1 needs Linux" in line
