"""Lines are written whole and in order, or counted as lost."""

import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from testing.conditions import until
from testing.disk import files_no_larger_than
from thimble.service.telemetry.line_writer import MOST_BYTES, PIECE_BYTES, LineWriter

LINE = b"%07d " + b"x" * 500 + b"\n"


class Log:
    """A writer, and what it counted."""

    def __init__(self, descriptor: int) -> None:
        self.lost = 0
        self.writer = LineWriter(
            descriptor, lambda number: LINE % number, lambda lost: b"lost %d\n" % lost, self._count
        )

    def _count(self, lines: int) -> None:
        self.lost += lines


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for end in (reader, writer):
        os.close(end)


def drain(reader: int, last: bytes) -> list[bytes]:
    """The lines until one is this."""
    content = b""
    while not content.endswith(last + b"\n"):
        content += os.read(reader, 1 << 20)
    return content.splitlines()


def told(lines: list[bytes]) -> int:
    """How many lines were lost, as is said among them."""
    return sum(int(line.split()[1]) for line in lines if line.startswith(b"lost"))


def test_lines_and_entries_come_whole_and_in_order(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        log = Log(file.fileno())
        for number in range(0, 1000, 2):
            log.writer.add((number,))
            log.writer.write(LINE % (number + 1))
        log.writer.write(long := b"y" * (3 * PIECE_BYTES) + b"\n")
        log.writer.flush(30)
    assert (tmp_path / "log").read_bytes() == b"".join(LINE % number for number in range(1000)) + long
    assert log.lost == 0


def test_a_pipe_that_nobody_reads_holds_nobody_up(pipe: tuple[int, int]) -> None:
    log, count = Log(pipe[1]), 4 * MOST_BYTES // len(LINE % 0)
    for number in range(count):
        log.writer.add((number,))
    log.writer.flush(0.01)
    assert log.lost > count / 4  # what is being written and what waits are a half
    lines: list[bytes] = []
    reader = threading.Thread(target=lambda: lines.extend(drain(pipe[0], b"end")))
    reader.start()
    log.writer.flush(30)
    log.writer.write(b"end\n")
    reader.join()
    written = [int(line[:7]) for line in lines if line[:7].isdigit()]
    assert told(lines) == log.lost and len(written) + log.lost == count
    assert written == sorted(written) and all(line in LINE % int(line[:7]) for line in lines if line[:7].isdigit())


def test_a_pipe_that_must_not_block_is_waited_for(pipe: tuple[int, int]) -> None:
    os.set_blocking(pipe[1], False)
    fcntl.fcntl(pipe[1], fcntl.F_SETPIPE_SZ, PIECE_BYTES)
    log = Log(pipe[1])
    for number in range(1000):
        log.writer.add((number,))
    log.writer.write(b"end\n")
    assert drain(pipe[0], b"end")[:-1] == [(LINE % number)[:-1] for number in range(1000)]
    assert log.lost == 0


def test_lines_of_several_writers_are_not_cut(pipe: tuple[int, int]) -> None:
    fcntl.fcntl(pipe[1], fcntl.F_SETPIPE_SZ, PIECE_BYTES)
    logs = [Log(pipe[1]) for _ in range(3)]
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.extend(drain(pipe[0], b"end")))
    reader.start()
    for number in range(500):
        for log in logs:
            log.writer.add((number,))
    for log in logs:
        log.writer.flush(30)
    logs[0].writer.write(b"end\n")
    reader.join()
    assert sorted(found[:-1]) == sorted(3 * [(LINE % number)[:-1] for number in range(500)])


def test_what_cannot_be_written_is_counted(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full, (tmp_path / "log").open("wb") as file:
        log = Log(os.dup(full.fileno()))
        log.writer.write(b"one\ntwo\n")
        log.writer.flush(30)
        assert log.lost == 2
        os.dup2(file.fileno(), log.writer._descriptor)  # room was made
        log.writer.write(b"three\n")
        log.writer.flush(30)
        os.close(log.writer._descriptor)
    assert (tmp_path / "log").read_bytes() == b"three\nlost 2\n"


def test_a_reader_that_has_gone_and_a_closed_descriptor_raise_nothing() -> None:
    reader, descriptor = os.pipe()
    os.close(reader)
    log = Log(descriptor)
    log.writer.write(b"one\n")
    log.writer.flush(30)
    os.close(descriptor)
    log.writer.write(b"two\n")
    log.writer.flush(30)
    assert log.lost == 2


def test_a_line_that_was_cut_does_not_run_into_the_next(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb", buffering=0) as file:
        log = Log(file.fileno())
        with files_no_larger_than(5):  # its signal is ignored by Python
            log.writer.write(b"one\ntwo\nthree\n")
            log.writer.flush(30)
        log.writer.write(b"four\n")
        log.writer.flush(30)
    assert (tmp_path / "log").read_bytes() == b"one\nt\nfour\nlost 2\n" and log.lost == 2


def test_a_forked_process_writes_its_own_lines_and_none_of_its_parents(pipe: tuple[int, int]) -> None:
    log = Log(pipe[1])
    with log.writer._lock:  # its thread cannot take the line before there are two processes
        log.writer.write(b"of the parent\n")
        child = os.fork()
        if not child:
            log.writer.write(b"of the child\n")
            log.writer.flush(30)
            os._exit(0)
    os.waitpid(child, 0)
    log.writer.write(b"end\n")
    assert sorted(drain(pipe[0], b"end")) == [b"end", b"of the child", b"of the parent"]


def test_without_a_thread_lines_wait_for_one(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    log = Log(pipe[1])
    with monkeypatch.context() as starved:
        starved.setattr(threading.Thread, "start", none)
        log.writer.write(b"one\n")
        log.writer.add((2,))
    log.writer.write(b"three\n")
    until(lambda: not log.writer._writing)
    assert drain(pipe[0], b"three") == [b"one", (LINE % 2)[:-1], b"three"]
