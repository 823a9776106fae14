import asyncio
import logging
import shutil
from pathlib import Path

import pytest

from tests.service.releases.operator import close
from thimble.service.errors import RequestError, StartupError
from thimble.service.releases.catalogue import Catalogue
from thimble.service.releases.registry import Registry
from thimble.service.releases.release import FOLLOW_NEWEST, Release
from thimble.service.releases.repository import Repository, StoreError
from thimble.service.settings import Settings


def catalogue(source: Path) -> Catalogue:
    return asyncio.run(Registry.open(Settings(repository=source))).catalogue


@pytest.fixture
def repository(small_artifact: Path, tmp_path: Path) -> Path:
    """Two models, one of them in versions 2 and 10."""
    for version in ("a/2", "a/10", "b/1"):
        shutil.copytree(small_artifact.parent, tmp_path / version)
    return tmp_path


def served(models: Catalogue) -> list[tuple[str, int]]:
    return [(model.name, model.version) for model in models]


def test_the_newest_version_of_each_model_is_served(repository: Path) -> None:
    models = catalogue(repository)
    assert served(models) == [("a", 10), ("b", 1)]
    assert models.find("a").version == 10 and models.find("a", "10").name == "a"


def test_a_bad_version_is_logged_and_the_one_before_it_served(
    repository: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (repository / "a/10/model.onnx").write_bytes(b"broken")
    with caplog.at_level(logging.ERROR):
        assert served(catalogue(repository)) == [("a", 2), ("b", 1)]
    assert "a/10/model.onnx" in caplog.text and "not an ONNX file" in caplog.text


def test_what_is_no_version_is_passed_over(repository: Path) -> None:
    for name in ("a/.partial-x", "a/011", "a/0", "a/latest", ".hidden/1"):
        (repository / name).mkdir(parents=True)
        (repository / name / "model.onnx").write_bytes(b"broken")
    (repository / "a/99").mkdir()
    assert served(catalogue(repository)) == [("a", 10), ("b", 1)]


def test_a_model_is_named_by_its_place_also_where_that_is_a_link(repository: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    (linked / "c").mkdir(parents=True)
    (linked / "c/3").symlink_to(repository / "a/2")
    (linked / "d").symlink_to(repository / "b")
    assert served(catalogue(linked)) == [("c", 3), ("d", 1)]


def test_a_folder_one_too_deep_is_said_to_be_so(repository: Path) -> None:
    with pytest.raises(StartupError, match=f"its parent {repository} may be the repository"):
        catalogue(repository / "a")


def test_a_single_file_is_served_under_its_place_or_its_own_name(small_artifact: Path, tmp_path: Path) -> None:
    assert served(catalogue(small_artifact)) == [("small", 1)]
    shutil.copy(small_artifact, tmp_path / "any.onnx")
    assert served(catalogue(tmp_path / "any.onnx")) == [("small", 1)]


def test_with_several_models_one_must_be_named(repository: Path) -> None:
    with pytest.raises(RequestError, match="several models are served") as caught:
        catalogue(repository).find()
    assert caught.value.status == 404


@pytest.mark.parametrize("content", [None, "empty", "broken"])
def test_nothing_to_serve_is_a_startup_error(tmp_path: Path, content: str | None) -> None:
    source = tmp_path / "repository"
    if content:
        source.mkdir()
    if content == "broken":
        (source / "a/1").mkdir(parents=True)
        (source / "a/1/model.onnx").write_bytes(b"broken")
    with pytest.raises(StartupError, match="repository"):
        catalogue(source)


class Told(Repository):
    """A repository that is told what is served of it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.live = 2

    def release(self, model: str) -> Release:
        return Release(live=self.live) if model == "a" else FOLLOW_NEWEST

    def check_writable(self) -> None:
        raise StoreError("it is told")


def test_what_is_served_may_be_said_elsewhere_than_in_the_repository(
    repository: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def follow() -> None:
        told = Told(repository)
        registry = Registry(Settings(repository=repository), told)
        await registry.load()
        models, changes = registry.catalogue, registry.changes
        assert served(models) == [("a", 2), ("b", 1)]
        told.live = 10
        with caplog.at_level(logging.INFO):
            assert await changes.following.reconcile("a", "somebody else") is None
        assert models.find("a").version == 10 and "version 2 before, by somebody else" in caplog.text
        told.live = 11
        assert await changes.following.reconcile("a") == "version 11 of a is not in the repository"
        assert models.find("a").version == 10
        with pytest.raises(RequestError, match="it is told"):
            await changes.roll_back("a", "alice")
        assert models.find("a").version == 10
        await close(registry)

    asyncio.run(follow())
