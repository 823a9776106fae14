"""Files and folders that appear under their names at once and whole, and stay whatever happens to the machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def publish(source: Path, target: Path) -> None:
    """Give a file, or a folder with the files in it, the name that readers look for. OSError.

    A file takes the place of another; a folder that of none or of an empty one. Its content is on the disk before it
    has the name, so whenever a process or a machine stops, there is nothing under the name, or all of it.
    """
    if source.is_dir():
        for file in source.iterdir():
            _sync(file)
    _sync(source)
    source.replace(target)
    _sync(target.parent)


def withdraw(target: Path, hidden: Path) -> None:
    """Take the name away that readers look for, to stay away whatever happens to the machine. OSError."""
    target.replace(hidden)
    _sync(target.parent)


@contextmanager
def replaced(target: Path, partial: Path) -> Iterator[Path]:
    """A path to write a file to, which takes the place of `target` when it is whole. `partial` lies beside it. OSError.

    When anything goes wrong on the way, the target is as it was, and of the other nothing is left.
    """
    try:
        yield partial
        publish(partial, target)
    except BaseException:
        with suppress(OSError):  # what went wrong first is what matters
            partial.unlink()
        raise


def make_folder(folder: Path) -> list[Path]:
    """Make a folder and those above it that are not there, to stay likewise. Returns what was made, innermost first."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in made:
        _sync(path.parent)
    return made


def _sync(path: Path) -> None:
    """Wait until a file's content, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
