"""Files of a model repository: read whole only if they are files and no larger than allowed, and told from others."""

import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import NamedTuple, Self

import xxhash

# Files are read and written so much at a time: a kernel may keep the core from others until a call is done.
PIECE_BYTES = 256 << 10


class Stamp(NamedTuple):
    """Tells one state of a file from another. Nobody can set `changed_ns` back, as one can `modified_ns`."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Self:
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    @property
    def written(self) -> tuple[int, int]:
        """What differs after a write, but not after the file got another name, owner or mode."""
        return self.size, self.modified_ns


def is_utf8(path: Path) -> bool:
    """Whether libraries can open a path that take its name as UTF-8. To the system it is any bytes."""
    return str(path) == os.fsencode(path).decode("utf-8", "replace")


def open_file(path: Path) -> int:
    """A descriptor to read a file with. OSError: it cannot be opened, or is a pipe or a device, which may never end."""
    _check_regular(path.stat())  # a device may do something merely because it is opened
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe that has taken its place meanwhile must not block
    try:
        _check_regular(os.fstat(descriptor))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def read_file(path: Path, max_bytes: int) -> bytes:
    """The bytes of a file. OSError: it cannot be read, is larger than allowed (EFBIG), or was written to meanwhile."""
    with open(open_file(path), "rb", buffering=0) as file:
        before = Stamp.of(os.fstat(file.fileno()))
        if before.size > max_bytes:
            raise OSError(errno.EFBIG, f"{before.size} bytes are more than the limit of {max_bytes}")
        pieces, left = [], before.size
        while left and (piece := file.read(min(left, PIECE_BYTES))):
            pieces.append(piece)
            left -= len(piece)
        if Stamp.of(os.fstat(file.fileno())).written != before.written:
            raise OSError(errno.EBUSY, "changed while it was being read")
        return b"".join(pieces)


def digest(content: bytes) -> str:
    """It tells one content from another, of which neither was made to look like the other."""
    return xxhash.xxh3_128_hexdigest(content)


def file_digest(descriptor: int) -> str:
    """The digest of all that a file holds, read in pieces, for files of any size. OSError."""
    with open(descriptor, "rb", buffering=0, closefd=False) as file:
        file.seek(0)
        return hashlib.file_digest(file, xxhash.xxh3_128).hexdigest()


def _check_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe, a socket or a device"
        raise OSError(errno.EINVAL, f"{kind}, not a file")
