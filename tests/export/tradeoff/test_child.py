"""Processes that were started to do one thing, and the one that started them."""

import subprocess
import sys
import threading
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import psutil

from testing.conditions import until
from thimble.export.tradeoff.child import STOPPED, do

START = "from tests.export.tradeoff.test_child import start_one; start_one()"


def wait_for_ever(log: Path) -> None:
    _, errors = get_context("spawn").Pipe(duplex=False)

    def work() -> None:
        print("begun", flush=True)
        while True:
            threading.Event().wait(0.1)  # signals are taken between two of these

    do(work, log, errors)


def start_one() -> None:
    process = get_context("spawn").Process(target=wait_for_ever, args=(Path("log.txt"),))
    process.start()
    print(process.pid, flush=True)
    process.join()
    print(process.exitcode, flush=True)


def test_it_ends_when_it_is_asked_to_and_with_the_one_that_started_it(tmp_path: Path) -> None:
    environment = {"PYTHONPATH": str(Path(__file__).parents[3])}
    log = tmp_path / "log.txt"
    for kill in (False, True):
        log.unlink(missing_ok=True)
        command = [sys.executable, "-c", START]
        with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=environment) as first:
            assert first.stdout is not None
            child = psutil.Process(int(first.stdout.readline()))
            until(lambda: log.is_file() and log.read_text() == "begun\n", 100)
            if kill:
                first.kill()
            else:
                child.terminate()
                assert int(first.stdout.readline()) == STOPPED
        until(partial(is_over, child))


def is_over(process: psutil.Process) -> bool:
    """Also where nobody asks for its status, as in a container without an init."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
