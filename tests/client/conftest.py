from collections.abc import Iterator
from pathlib import Path

import pytest

from testing.servers import Server, running
from tests.service.conftest import criteo, criteo_artifact, server, small_artifact

__all__ = ["criteo", "criteo_artifact", "server", "small_artifact"]


@pytest.fixture(scope="session")
def small_server(small_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two models, one and two, with three numbers and fields of text, text, integers and hexadecimal tokens."""
    repository = tmp_path_factory.mktemp("small")
    for name in ("one", "two"):
        (repository / name).mkdir()
        (repository / name / "1").symlink_to(small_artifact.parent)
    with running(repository) as running_server:
        yield running_server
