"""Results files, which readers find whole or not at all."""

import os
from collections.abc import Callable
from pathlib import Path

from thimble.loadtests.traffic.served import LoadError


def replace(path: Path, text: str) -> None:
    """Write a file at once, or not at all. Its folder is made where there is none."""
    partial = _partial(path)
    partial.write_text(text)
    partial.replace(path)


def claim(path: Path, read: Callable[[Path], object]) -> None:
    """Make sure of a place for results, before the work is done that they are of.

    `read` raises ValueError for what are no such results. LoadError: nothing can be written there, or something would
    be lost that is no such results.
    """
    try:
        partial = _partial(path)
        partial.touch()
        partial.unlink()
        if path.exists() and not path.is_file():
            raise LoadError(f"cannot write {path}: it is no file")
        empty = not path.exists() or not path.stat().st_size
    except OSError as error:
        raise LoadError(f"cannot write {path}: {error.strerror}") from None
    except ValueError as error:  # a name that no file can have
        raise LoadError(f"cannot write {str(path)!r}: {error}") from None
    try:
        if not empty:
            read(path)
    except (OSError, ValueError):
        raise LoadError(f"{path} holds something else than such results, and is not overwritten") from None


def _partial(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f".{path.name}.{os.getpid()}")
