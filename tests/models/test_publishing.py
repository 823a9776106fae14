"""What is published is on the disk before it has its name, and its name is before anybody is told."""

import os
from pathlib import Path

import pytest

from thimble.models.publishing import make_folder, publish, withdraw

Events = list[tuple[str, str]]


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> Events:
    """What was brought to the disk, and what got a name, in order. (No machine here loses its power.)"""
    seen: Events = []
    fsync, replace = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        seen.append(("synced", Path(f"/proc/self/fd/{descriptor}").readlink().name))
        fsync(descriptor)

    def named(source: Path, target: Path) -> None:
        seen.append(("named", Path(target).name))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", named)
    return seen


def test_a_file_is_on_the_disk_before_it_takes_the_place_of_another(tmp_path: Path, events: Events) -> None:
    (tmp_path / "release.json").write_text("before")
    (tmp_path / "new").write_text("after")
    publish(tmp_path / "new", tmp_path / "release.json")
    assert (tmp_path / "release.json").read_text() == "after"
    assert events == [("synced", "new"), ("named", "release.json"), ("synced", tmp_path.name)]


def test_all_of_a_folder_is_on_the_disk_before_it_has_its_name(tmp_path: Path, events: Events) -> None:
    (tmp_path / "new").mkdir()
    for name in ("model.onnx", "model.weights"):
        (tmp_path / "new" / name).write_text(name)
    publish(tmp_path / "new", tmp_path / "1")
    assert sorted(events[:2]) == [("synced", "model.onnx"), ("synced", "model.weights")]
    assert events[2:] == [("synced", "new"), ("named", "1"), ("synced", tmp_path.name)]


def test_what_stands_under_a_name_is_not_lost(tmp_path: Path) -> None:
    for name in ("new", "1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.onnx").write_text(name)
    with pytest.raises(OSError, match="not empty"):
        publish(tmp_path / "new", tmp_path / "1")
    assert (tmp_path / "1/model.onnx").read_text() == "1"


def test_a_name_that_is_taken_away_is_gone_from_the_disk(tmp_path: Path, events: Events) -> None:
    (tmp_path / "1").mkdir()
    withdraw(tmp_path / "1", tmp_path / ".gone")
    assert events == [("named", ".gone"), ("synced", tmp_path.name)]


def test_folders_on_the_way_are_on_the_disk_too(tmp_path: Path, events: Events) -> None:
    made = make_folder(tmp_path / "repository/m")
    assert made == [tmp_path / "repository/m", tmp_path / "repository"]
    assert events == [("synced", "repository"), ("synced", tmp_path.name)]
    assert make_folder(tmp_path / "repository/m") == [] and len(events) == 2
