"""How files of a repository are read."""

import errno
import os
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import xxhash

from testing.conditions import until
from thimble.models.files import PIECE_BYTES, Stamp, file_digest, open_file, read_file


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES])
def test_a_file_is_read_whole(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "file").write_bytes(content)
    assert read_file(tmp_path / "file", size) == content
    descriptor = open_file(tmp_path / "file")
    for _ in range(2):
        assert file_digest(descriptor) == xxhash.xxh3_128_hexdigest(content)
    os.close(descriptor)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(OSError, match="1099511627776 bytes are more than the limit of 5") as caught:
        read_file(tmp_path / "file", 5)
    assert caught.value.errno == errno.EFBIG


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def truncate(path: Path) -> None:
    os.truncate(path, random.randrange(32 << 20, 64 << 20))


def test_links_that_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    (tmp_path / "c").symlink_to(tmp_path / "none")
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        read_file(tmp_path / "a", 5)
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "c", 5)


def now(folder: Path) -> int:
    """The time of the kernel's clock for files, which goes on every some milliseconds."""
    (folder / "clock").touch()
    return (folder / "clock").stat().st_ctime_ns


@pytest.mark.parametrize("write", [append, truncate])
def test_a_file_that_is_written_to_while_it_is_read_is_refused(tmp_path: Path, write: Callable[[Path], None]) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.truncate(64 << 20)
    stopping = threading.Event()

    def write_on() -> None:
        while not stopping.is_set():
            write(path)

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write_on)
        try:
            with pytest.raises(OSError, match="changed while it was being read"):
                read_file(path, 1 << 30)
        finally:
            stopping.set()
        writing.result()


def test_a_file_that_gets_another_name_while_it_is_read_is_what_it_was(tmp_path: Path) -> None:
    """As a release does, when the next one takes its place."""
    path = tmp_path / "file"
    path.write_bytes(b"content")
    before = Stamp.of(path.stat())
    until(lambda: now(tmp_path) != before.changed_ns)
    path.rename(tmp_path / "other")
    after = Stamp.of((tmp_path / "other").stat())
    assert after != before and after.written == before.written


def test_no_write_goes_unnoticed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    before = path.stat()
    until(lambda: now(tmp_path) != before.st_ctime_ns)
    path.write_bytes(b"after.")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert Stamp.of(after) != Stamp.of(before)
