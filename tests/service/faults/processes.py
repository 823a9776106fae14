"""What may befall a process, injected from outside."""

import ctypes
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

PTRACE_SEIZE, PTRACE_INTERRUPT, WALL = 0x4206, 0x4207, 0x40000000


@contextmanager
def stopped(process: psutil.Process) -> Iterator[None]:
    """It is stopped, as long as this lasts or until it is killed."""
    process.suspend()
    try:
        yield
    finally:
        if process.is_running():
            process.send_signal(signal.SIGCONT)


@contextmanager
def at_its_limit_of_files(process: psutil.Process) -> Iterator[None]:
    """It can open no other file, as long as this lasts."""
    before = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    open_files = {int(file.name) for file in Path(f"/proc/{process.pid}/fd").iterdir()}
    lowest_free = min(set(range(len(open_files) + 1)) - open_files)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (lowest_free, before[1]))
    try:
        yield
    finally:
        if process.is_running():
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, before)


@contextmanager
def held_up(process: psutil.Process) -> Iterator[None]:
    """Its main thread stands still, as in a call of a driver that hangs, until the process is killed in here."""
    libc = ctypes.CDLL(None)
    assert libc.ptrace(PTRACE_SEIZE, process.pid, None, None) == 0
    assert libc.ptrace(PTRACE_INTERRUPT, process.pid, None, None) == 0
    yield
    while not os.WIFSIGNALED(os.waitpid(process.pid, WALL)[1]):  # nobody else hears of its end before
        pass
