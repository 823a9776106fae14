"""Files that are replaced, given other rights, or cannot be read for a while."""

import resource
from functools import partial
from pathlib import Path

import pytest

from thimble.service.errors import StartupError
from thimble.service.watched import Watched


def read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise StartupError(f"{path}: {error.strerror}") from None


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("thimble.service.watched.REFRESH_SECONDS", 0)
    caplog.set_level("INFO", "thimble")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_text("first")
    return path


def watched(path: Path) -> Watched[str]:
    return Watched((path,), partial(read, path), "words")


def test_a_file_that_cannot_be_read_at_the_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="nothing: No such file"):
        watched(tmp_path / "nothing")


def test_what_could_not_be_read_once_is_read_again(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    words = watched(path)
    path.write_text("second")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))  # no file can be opened, but its state can be had
    try:
        words.refresh()
        words.refresh()
        assert words.value == "first"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    words.refresh()
    assert words.value == "second"
    said = [record.getMessage() for record in caplog.records]
    assert said == [f"the words stay as they were: {path}: Too many open files", f"{path}: the new words are in force"]


def test_a_file_that_is_gone_changes_nothing_and_is_said_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    words = watched(path)
    path.unlink()
    for _ in range(3):
        words.refresh()
    assert words.value == "first" and len(caplog.records) == 1
    path.write_text("third")
    words.refresh()
    assert words.value == "third"


def test_a_file_that_is_given_other_rights_is_read_again(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    words = watched(path)
    for mode in (0o640, 0o600):
        path.chmod(mode)
        words.refresh()
    assert len(caplog.records) == 2
