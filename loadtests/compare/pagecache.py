"""The page cache: what of files the kernel holds in memory. Linux alone."""

import ctypes
import mmap
import os
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import numpy as np

READ = 1 << 24
_libc = ctypes.CDLL(None, use_errno=True)


def resident(paths: Iterable[Path]) -> int:
    """Bytes of the files that are in memory, mapped by somebody or not, in whole pages."""
    return sum(map(_resident, paths))


def evict(paths: Iterable[Path]) -> int:
    """Ask the kernel to drop the files. Returns the bytes that are still there: pages that a process maps stay."""
    paths = list(paths)
    for path in paths:
        with path.open("rb") as file:
            os.fsync(file.fileno())  # what is not on the disk yet cannot be dropped
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return resident(paths)


def warm(paths: Iterable[Path]) -> int:
    """Read the files once. Returns the bytes that are in memory then."""
    paths = list(paths)
    for path in paths:
        with path.open("rb", buffering=0) as file:
            while file.read(READ):
                pass
    return resident(paths)


def _resident(path: Path) -> int:
    size = path.stat().st_size
    if not size:
        return 0
    with path.open("rb") as file, closing(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)) as mapping:
        pages = np.zeros(-(-size // mmap.PAGESIZE), np.uint8)
        content = np.frombuffer(mapping, np.uint8)
        failed = _libc.mincore(
            ctypes.c_void_p(content.ctypes.data), ctypes.c_size_t(size), ctypes.c_void_p(pages.ctypes.data)
        )
        del content  # else the mapping could not be closed
    if failed:
        raise OSError(ctypes.get_errno(), "mincore failed", str(path))
    return int((pages & 1).sum()) * mmap.PAGESIZE
