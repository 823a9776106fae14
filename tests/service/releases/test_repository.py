"""What is written to a repository, whole or not at all."""

import os
from pathlib import Path

import pytest

from thimble.service.releases.release import FOLLOW_NEWEST, Release
from thimble.service.releases.repository import Repository, StoreError


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    for version in ("2", "10", "011", ".incoming-x"):
        (tmp_path / "a" / version).mkdir(parents=True)
        (tmp_path / "a" / version / "model.onnx").write_bytes(version.encode())
    (tmp_path / "a" / "12").mkdir()
    return Repository(tmp_path)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_versions_come_newest_first_and_half_of_one_is_none(repository: Repository) -> None:
    assert list(repository.versions("a")) == [10, 2]
    assert repository.models() == ["a"] and repository.versions("b") == {}


def test_a_release_is_remembered(repository: Repository) -> None:
    assert repository.release("a") == FOLLOW_NEWEST
    before = repository.snapshot()
    repository.keep("a", Release(live=2, also=(10,)))
    assert repository.release("a") == Release(live=2, also=(10,))
    assert repository.snapshot() != before


def test_an_admitted_file_is_a_version_and_a_dropped_one_leaves_nothing(repository: Repository) -> None:
    received = repository.receive("a", 11, b"eleven")
    assert list(repository.versions("a")) == [10, 2]
    repository.admit("a", 11, received)
    repository.drop(received)
    assert repository.versions("a")[11].path.read_bytes() == b"eleven"
    repository.drop(repository.receive("b", 1, b"one"))
    assert not (repository.folder / "b").exists()
    assert names(repository.folder / "a") == [".incoming-x", "011", "10", "11", "12", "2"]


def test_what_a_killed_server_left_half_way_is_removed_by_a_later_push(repository: Repository) -> None:
    left, on_its_way = repository.folder / "a/.incoming-x", repository.folder / "a/.incoming-y"
    on_its_way.mkdir()
    os.utime(left, (0, 0))
    repository.receive("a", 11, b"eleven")
    assert not left.exists() and on_its_way.exists()


def test_a_version_that_is_there_stays_as_it_is(repository: Repository) -> None:
    assert repository.admit("a", 10, repository.receive("a", 10, b"10")).version == 10  # the same is nothing new
    with pytest.raises(StoreError, match="version 10 of a is there already with other content"):
        repository.admit("a", 10, repository.receive("a", 10, b"other"))
    assert repository.versions("a")[10].path.read_bytes() == b"10"


def test_a_file_in_the_stored_version_a_folder_is_named(repository: Repository) -> None:
    (repository.folder / "c").write_text("a file")
    with pytest.raises(StoreError, match=r"c/1 cannot be written: File exists"):
        repository.receive("c", 1, b"one")
    assert (repository.folder / "c").read_text() == "a file"
