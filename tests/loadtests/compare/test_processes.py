import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from thimble.loadtests.compare.processes import cpu_seconds, memory

MIB = 1 << 20
FILE, OWN = 64 * MIB, 32 * MIB
CHILD = """
import mmap, sys
with open(sys.argv[1], "rb") as file:
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
total = sum(mapped[i] for i in range(0, len(mapped), 4096))
own = bytearray(b"x") * int(sys.argv[2])
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def child(file: Path, own: int) -> Iterator[int]:
    """The id of a process that maps and has read a file, and holds so many bytes beside it."""
    command = [sys.executable, "-c", CHILD, str(file), str(own)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdin
        assert process.stdout.readline() == "ready\n"
        yield process.pid
        process.stdin.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(bytes(FILE))
    return path


def test_what_two_processes_map_counts_once(file: Path) -> None:
    with ExitStack() as stack:
        pids = [stack.enter_context(child(file, OWN)) for _ in range(2)]
        one, both = memory(pids[:1], [file]), memory(pids, [file])
    assert (one.processes, both.processes) == (1, 2)
    assert one.mapped == pytest.approx(FILE / 2, rel=0.01)
    assert both.mapped == pytest.approx(FILE, rel=0.01)
    assert both.resident > 2 * (FILE + OWN)
    assert FILE + 2 * OWN < both.proportional < FILE + 3 * OWN
    assert 2 * OWN < both.unique < 3 * OWN
    assert both.anonymous + both.file == pytest.approx(both.proportional, rel=0.05)


def test_a_file_that_one_process_maps_is_unique_to_it(file: Path) -> None:
    with child(file, OWN) as pid:
        found = memory([pid], [file])
    assert FILE + OWN < found.unique < FILE + 2 * OWN
    assert found.mapped == FILE


def test_a_process_that_is_gone_weighs_nothing(file: Path) -> None:
    with child(file, 1) as pid:
        assert cpu_seconds([pid]) > 0
    assert memory([pid]).processes == 0
    assert cpu_seconds([pid]) == 0
