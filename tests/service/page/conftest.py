"""A server with a model of several versions, with bags and with names that a page must not take for HTML."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from testing.artifacts import write_artifact
from testing.browser import Page, page
from testing.samples import small_spec, with_bags
from testing.servers import Server, running
from thimble.models.spec import Metrics, ModelSpec, PrecisionCost

API, ADMIN = "a-key-for-scoring-rows", "a-key-for-those-on-call"
KEYS = {"THIMBLE_API_KEYS": API, "THIMBLE_ADMIN_KEYS": f"{ADMIN} # alice"}
WICKED = "<img src=x onerror=wicked()>"


def shop() -> ModelSpec:
    spec = with_bags(small_spec("full", kinds=("string", "string", "int", "hex")))
    metrics = Metrics(rows=5000, base_rate=0.2, log_loss=0.45, auc=0.7123, auc_interval=(0.7, 0.72), calibration=1.01)
    cost = PrecisionCost(rows=5000, auc=-0.0004, log_loss=0.0002, logit_mean=0.01, logit_largest=0.2)
    return spec.model_copy(
        update={"dense": [WICKED, *spec.dense[1:]], "metrics": metrics, "precision_cost": cost},
    )


@pytest.fixture(scope="package")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three that score, and one that is no model."""
    repository = tmp_path_factory.mktemp("versions")
    for version in (1, 2, 3):
        write_artifact(shop(), repository, "shop", version, seed=version)
    broken = repository / "shop" / "4" / "model.onnx"
    broken.parent.mkdir()
    broken.write_bytes(b"no model")
    return repository


@contextmanager
def serving(versions: Path, folder: Path, *flags: str, env: dict[str, str] | None = None) -> Iterator[Server]:
    """All of them, the first one being live."""
    repository = folder / "repository"
    shutil.copytree(versions, repository)
    (repository / "shop" / "release.json").write_text('{"live": 1}')
    with running(repository, *flags, env=env) as server:
        yield server


@pytest.fixture(scope="package")
def server(versions: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Without keys."""
    with serving(versions, tmp_path_factory.mktemp("open")) as server:
        yield server


@pytest.fixture
def tab(tmp_path: Path) -> Iterator[Page]:
    with page(tmp_path) as it:
        yield it
