"""A version that is loaded is held: no process of any server deletes its file.

It is locked (flock), which all processes of a machine see, and which ends with whoever has it. Where a file system has
no locks, what is served is still seen in `release.json`.
"""

import fcntl
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FLAGS = os.O_RDONLY | os.O_NONBLOCK  # what is no file may keep others waiting


class BusyError(Exception):
    """The file is held, or is being deleted."""


class Hold:
    """Holds a file until it is released, or nobody knows of this any more."""

    def __init__(self, path: Path) -> None:
        """BusyError: it is being deleted. What cannot be opened is not held: whoever reads it is told why."""
        self._descriptors: list[int] = []
        self.release = weakref.finalize(self, _close, self._descriptors)
        try:
            descriptor = os.open(path, _FLAGS)
        except OSError:
            return
        self._descriptors.append(descriptor)
        _lock(descriptor, fcntl.LOCK_SH, path)


@contextmanager
def held_by_nobody(path: Path) -> Iterator[None]:
    """While a file is deleted nobody begins to hold it. BusyError: somebody does. OSError: it cannot be opened."""
    descriptor = os.open(path, _FLAGS)
    try:
        _lock(descriptor, fcntl.LOCK_EX, path)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, kind: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BusyError(f"{path} is in use") from None
    except OSError:  # a file system without locks
        return


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
