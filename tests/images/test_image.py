"""The image by itself, locked down."""

import re
import subprocess
from collections.abc import Iterator

import httpx
import pytest

from testing.docker import LOCKED, docker, inspect, wait_for

pytestmark = pytest.mark.image


@pytest.fixture(scope="module")
def container(image: str) -> Iterator[str]:
    name = docker("run", "--detach", *LOCKED, "--publish", "127.0.0.1::8000", image)
    try:
        wait_for(lambda: inspect(name)["State"]["Health"]["Status"] == "healthy", "its HEALTHCHECK")
        yield name
    finally:
        docker("rm", "--force", name)


@pytest.fixture
def url(container: str) -> str:
    return f"http://{docker('port', container, '8000').splitlines()[0]}"


def test_it_scores_with_the_native_lookup(url: str) -> None:
    (model,) = httpx.get(f"{url}/v1/models").json()
    assert (model["name"], model["lookup"]) == ("demo", "native")
    assert httpx.post(f"{url}/v1/score", json={"features": {"I1": [1, 2]}}).status_code == 200


def test_it_is_nobody_and_has_no_tools(container: str) -> None:
    assert docker("exec", container, "id", "-u") == "10001"
    for tool in ("pip", "gcc", "g++", "cmake", "make"):
        assert subprocess.run(["docker", "exec", container, "which", tool], capture_output=True).returncode
    tests = ("-type", "d", "-name", "tests", "-path", "/opt/*")
    assert docker("exec", container, "find", "/opt", *tests) == ""
    modules = "import importlib.util as u; print([m for m in ('torch', 'pytest', 'pip', 'export') if u.find_spec(m)])"
    assert docker("exec", container, "python", "-c", modules) == "[]"


def test_nothing_is_compiled_at_start(container: str) -> None:
    done = subprocess.run(
        [
            "docker",
            "exec",
            container,
            "python",
            "-v",
            "-c",
            "import thimble.service.cli, thimble.service.process.server",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = re.findall(r"^# code object from '?(\S+?)'?$", done.stderr, re.MULTILINE)
    assert len(loaded) > 100 and not [path for path in loaded if not path.endswith(".pyc")]


def test_sigterm_answers_what_still_comes_and_ends_with_0(container: str, url: str) -> None:
    docker("kill", "--signal", "TERM", container)
    wait_for(lambda: httpx.get(f"{url}/readyz").status_code == 503, "draining")
    assert httpx.post(f"{url}/v1/score", json={"features": {}}).status_code == 200
    assert docker("wait", container) == "0"
