"""A model repository on disk: MODEL/VERSION/model.onnx, and MODEL/release.json, which says what of it is served.

Whatever is written here appears whole or not at all, so a reader never sees half of it, and nothing is written twice:
a version that is there stays as it is.
"""

import filecmp
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple

from thimble.models.files import PIECE_BYTES, Stamp
from thimble.models.publishing import make_folder, publish, withdraw
from thimble.models.spec import MODEL_NAME
from thimble.service.errors import StartupError, passing
from thimble.service.releases import release
from thimble.service.releases.hold import held_by_nobody
from thimble.service.releases.release import Release

MODEL_FILE = "model.onnx"
RELEASE_FILE = "release.json"
NAME = re.compile(MODEL_NAME)
VERSION = re.compile(r"[1-9]\d{0,17}")
_INCOMING, _DELETED = ".incoming-", ".deleted-"
# Far longer than a file is on its way or being verified: whoever brought it was killed.
_ABANDONED_SECONDS = 3600


Stamps = tuple[tuple[str, Stamp], ...]
"""Of a version, the state of each of its files by name: of the model's own, and of its external data."""


class StoredVersion(NamedTuple):
    """A version of a model in the repository."""

    model: str
    version: int
    path: Path
    stamps: Stamps


Snapshot = tuple[Stamp | None, tuple[StoredVersion, ...]] | str
"""Of one model, the state of its release and of its versions, or why these cannot be told."""


class StoreError(Exception):
    """Why nothing was written."""


class TakenError(StoreError):
    """There is such a version already, and it is another."""


class Repository:
    """The models in a folder."""

    def __init__(self, folder: Path) -> None:
        """StartupError: there is no such folder."""
        if not folder.is_dir():
            there = "neither a file nor a folder" if folder.exists() else "no such file or folder"
            raise StartupError(f"{folder}: {there}")
        self.folder = folder

    def models(self) -> list[str]:
        """Names of all models that have a version or a release. OSError."""
        return sorted(path.name for path in self.folder.iterdir() if NAME.fullmatch(path.name) and self._is_model(path))

    def _is_model(self, folder: Path) -> bool:
        """Also what cannot be looked at now: whoever asks for it is told why."""
        try:
            return folder.is_dir() and (bool(self.versions(folder.name)) or (folder / RELEASE_FILE).is_file())
        except OSError:
            return True

    def versions(self, model: str) -> dict[int, StoredVersion]:
        """A model's versions, the newest first. OSError: they cannot be told now."""
        try:
            names = [path.name for path in (self.folder / model).iterdir() if VERSION.fullmatch(path.name)]
        except (FileNotFoundError, NotADirectoryError):
            return {}
        found = (self._version(model, version) for version in sorted(map(int, names), reverse=True))
        return {stored.version: stored for stored in found if stored}

    def release(self, model: str) -> Release:
        """What is to be served of a model. release.ReleaseError: its file holds no release."""
        return release.read(self.folder / model / RELEASE_FILE)

    def release_stamp(self, model: str) -> Stamp | None:
        """The state of the file that holds a model's release, None without one. OSError."""
        return _stamp(self.folder / model / RELEASE_FILE)

    def check_writable(self) -> None:
        """StoreError: what is served is said elsewhere than here, so no server may decide it."""

    def keep(self, model: str, wanted: Release) -> Stamp | None:
        """Remember what is to be served of a model; returns the state of its file.

        StoreError: it could not be written, and is as it was.
        """
        path = self.folder / model / RELEASE_FILE
        with _storing(path), tempfile.TemporaryDirectory(prefix=_INCOMING, dir=path.parent) as incoming:
            written = Path(incoming, RELEASE_FILE)
            _write(written, wanted.model_dump_json(exclude_defaults=True).encode())
            publish(written, path)
            return _stamp(path)

    def receive(self, model: str, version: int, content: bytes) -> Path:
        """A file with such content, to be verified and then admitted or dropped. StoreError."""
        folder = self.folder / model
        with _storing(folder / str(version)):
            make_folder(folder)
            _clear_up(folder)
            path = Path(tempfile.mkdtemp(prefix=_INCOMING, dir=folder), MODEL_FILE)
            try:
                _write(path, content)
            except OSError:
                self.drop(path)
                raise
        return path

    def drop(self, received: Path) -> None:
        """Leave nothing of a received file that was not admitted."""
        shutil.rmtree(received.parent, ignore_errors=True)
        with suppress(OSError):  # it has other versions
            received.parent.parent.rmdir()

    def admit(self, model: str, version: int, received: Path) -> StoredVersion:
        """Make a received file a version. TakenError, StoreError."""
        folder = self.folder / model / str(version)
        with _storing(folder):
            received.parent.chmod(0o755)
            try:
                publish(received.parent, folder)
            except OSError:
                path = folder / MODEL_FILE
                if not path.is_file():
                    raise
                if not filecmp.cmp(path, received, shallow=False):
                    raise TakenError(
                        f"version {version} of {model} is there already with other content; versions stay as they are"
                    ) from None
        stored = self._version(model, version)
        assert stored is not None
        return stored

    def delete(self, model: str, version: int) -> None:
        """Remove a version, whole or not at all. BusyError: a process has it loaded. StoreError: it is as it was."""
        folder = self.folder / model / str(version)
        hidden = folder.with_name(f"{_DELETED}{version}-{token_hex(8)}")
        try:
            with held_by_nobody(folder / MODEL_FILE):
                withdraw(folder, hidden)
        except OSError as error:
            raise StoreError(f"{folder} cannot be deleted: {error.strerror}") from None
        _remove(hidden)

    def snapshot(self) -> dict[str, Snapshot]:
        """All that decides what is served, to be compared with a later snapshot. OSError."""
        return {model: self._snapshot(model) for model in self.models()}

    def _snapshot(self, model: str) -> Snapshot:
        try:
            return self.release_stamp(model), tuple(self.versions(model).values())
        except OSError as error:
            return f"{self.folder / model}: {error.strerror}"

    def _version(self, model: str, version: int) -> StoredVersion | None:
        folder = self.folder / model / str(version)
        stamps = _stamps(folder)
        return StoredVersion(model, version, folder / MODEL_FILE, stamps) if MODEL_FILE in dict(stamps) else None


def stored_version(path: Path, name: str) -> StoredVersion:
    """A single file as a version: in a repository where its folders say so, else version 1 of `name`."""
    folder = path.absolute().parent
    if VERSION.fullmatch(folder.name):
        return StoredVersion(folder.parent.name, int(folder.name), path, _stamps(folder))
    stamp = _stamp(path)  # of what else is in that folder nothing is known
    return StoredVersion(name, 1, path, () if stamp is None else ((path.name, stamp),))


def _stamps(folder: Path) -> Stamps:
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError:
        return ()
    return tuple((name, stamp) for name in names if (stamp := _stamp(folder / name)) is not None)


def _stamp(path: Path) -> Stamp | None:
    """The state of a file, None where there is none. OSError: that cannot be told now."""
    try:
        return Stamp.of(path.stat())
    except OSError as error:
        if passing(error):
            raise
        return None


def _remove(hidden: Path) -> None:
    """Remove what has no name any more. Of a link to a version that is the link."""
    if hidden.is_symlink():
        hidden.unlink(missing_ok=True)
    else:
        shutil.rmtree(hidden, ignore_errors=True)


def _clear_up(folder: Path) -> None:
    """Remove what was on its way into a model's folder and never arrived, and what was deleted and is still there."""
    for deleted in folder.glob(f"{_DELETED}*"):
        _remove(deleted)
    for left in folder.glob(f"{_INCOMING}*"):
        with suppress(FileNotFoundError):  # its owner was late, not dead
            if time.time() - left.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(left, ignore_errors=True)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        for start in range(0, len(content), PIECE_BYTES):
            file.write(content[start : start + PIECE_BYTES])


@contextmanager
def _storing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from None
