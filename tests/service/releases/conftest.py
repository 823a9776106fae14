"""A model whose versions come and go while a server answers."""

import shutil
from pathlib import Path

import pytest

from testing.artifacts import spoil, write_artifact
from testing.samples import small_spec
from tests.service.releases.operator import SPOILED_ABOVE


@pytest.fixture(scope="package")
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
