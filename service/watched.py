"""What is read from files that may be replaced while the server runs: keys and certificates."""

import logging
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Generic, TypeVar

from thimble.service.errors import StartupError

# How often files are read again if they have changed, and so how long a key that was taken out still works.
REFRESH_SECONDS = 1.0
Read = TypeVar("Read")
log = logging.getLogger("thimble")


class Watched(Generic[Read]):
    """What was read from some files last. Files that cannot be read change nothing, until they can."""

    def __init__(self, paths: tuple[Path, ...], read: Callable[[], Read], what: str) -> None:
        """`read` raises StartupError, as this does; `what` names it in the log."""
        self._paths = paths
        self._read = read
        self._what = what
        self._state = self._on_disk()
        self._problem = ""
        self._refreshed = monotonic()
        self.value = read()

    def refresh(self) -> None:
        """Read the files again if they have changed, unless that was done within the last second."""
        now = monotonic()
        if now - self._refreshed < REFRESH_SECONDS:
            return
        self._refreshed = now
        state = self._on_disk()
        problem = ""
        if state != self._state:
            try:
                self.value, self._state = self._read(), state
                log.info("%s: the new %s are in force", self._paths[0], self._what)
            except StartupError as error:
                problem = str(error)
                if problem != self._problem:
                    log.error("the %s stay as they were: %s", self._what, problem)
        self._problem = problem

    def _on_disk(self) -> list[tuple[int, ...] | None]:
        """What changes when the files do: their content, their rights, or which files they are."""
        return [_state(path) for path in self._paths]


def _state(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
