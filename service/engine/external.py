"""External data: weights in files beside an artifact's own, which ONNX Runtime maps into memory.

What is mapped is not what a file held when it was proven, but what it holds whenever a row is scored: whoever writes to
it changes the scores, and whoever truncates it ends the process. So it is looked at for as long as it is served. To
rename another file over it does no harm: the one that was mapped stays as it was.
"""

import os
import time
import weakref
from pathlib import Path

from thimble.models.files import Stamp, file_digest, open_file
from thimble.models.spec import ExternalFile

# A kernel's clock for files goes on every 1 to 10 ms; until then a file has the stamp of what was written before.
TICK_SECONDS = 0.02


class ExternalDataError(ValueError):
    """Why external data is not what was exported, in one sentence."""


class ExternalData:
    """One such file, open. `proven` is the last state in which it was what was exported.

    `fault` says, in one sentence, why it may be that no more; None as long as it is.
    """

    def __init__(self, path: Path, exported: ExternalFile, proven: Stamp | None = None) -> None:
        """`proven`: the state in which another process proved it. Without it all of the file is read.

        ExternalDataError: it is not what was exported. OSError: it cannot be read.
        """
        self._path = path
        self._exported = exported
        self._descriptor = open_file(path)
        weakref.finalize(self, os.close, self._descriptor)
        self.proven = self._seen = self._refuted = proven or self._stamp()
        self.fault = None if proven else self._difference()
        if self.fault is not None:
            raise ExternalDataError(self.fault)
        self.check_mapped()

    def __str__(self) -> str:
        return f"external data {self._path.name!r}"

    def check_mapped(self) -> None:
        """ExternalDataError: what was mapped by its path since may be another file, or was written to. OSError."""
        if not self._stamp() == self.proven == Stamp.of(self._path.stat()):
            raise ExternalDataError(f"{self} changed while it was being loaded")

    def look(self) -> None:
        """See whether it still is what was exported. If it was touched, that takes as long as to read all of it."""
        try:
            stamp = self._stamp()
            if stamp == self.proven:
                self.fault = None
                return
            if self.fault is None and stamp.written != self.proven.written:
                self.fault = f"{self} was written to after it was loaded"
            if stamp == self._seen != self._refuted:  # found so twice: nobody is writing to it any more
                self.fault = self._difference()
                self.proven, self._refuted = (self.proven, stamp) if self.fault else (stamp, self._refuted)
            self._seen = stamp
        except OSError as error:
            self.fault = f"{self}: {error.strerror}"

    def _stamp(self) -> Stamp:
        return Stamp.of(os.fstat(self._descriptor))

    def _difference(self) -> str | None:
        before = self._stamp()
        if abs(time.time_ns() - before.changed_ns) < TICK_SECONDS * 1e9:
            time.sleep(TICK_SECONDS)
        if before.size != self._exported.bytes:
            return f"{self} has {before.size} bytes, not the {self._exported.bytes} that were exported"
        same = file_digest(self._descriptor) == self._exported.xxh3_128
        if self._stamp() != before:
            return f"{self} was written to while it was being read"
        return None if same else f"{self} is not what was exported"
