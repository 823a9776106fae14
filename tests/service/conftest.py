from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from testing.artifacts import write_artifact
from testing.samples import criteo_spec, small_spec
from testing.servers import Server, running
from thimble.export.scoring.evaluate import read_spec
from thimble.models.spec import ModelSpec


@pytest.fixture(scope="session")
def criteo_artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_artifact(criteo_spec(), tmp_path_factory.mktemp("criteo"), "criteo", 1)


@pytest.fixture(scope="session")
def small_artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three numbers, and fields of each kind."""
    spec = small_spec(kinds=("string", "string", "int", "hex"))
    return write_artifact(spec, tmp_path_factory.mktemp("small"), "small", 1)


@pytest.fixture(scope="session")
def criteo(criteo_artifact: Path) -> ModelSpec:
    return read_spec(criteo_artifact)


@pytest.fixture(scope="session")
def small(small_artifact: Path) -> ModelSpec:
    return read_spec(small_artifact)


@pytest.fixture(scope="session")
def server(criteo_artifact: Path) -> Iterator[Server]:
    repository = criteo_artifact.parents[2]
    with running(repository, "--max-rows", "1000", "--max-body-bytes", str(1 << 20)) as running_server:
        yield running_server


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client
