"""When a worker is taken for lost."""

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from testing.conditions import until
from thimble.service.process.liveness import SILENT_BEATS, STOPPED_BEATS, Heartbeat, is_stopped


def missed(beats: int, timeout_seconds: float = 5) -> Heartbeat:
    heartbeat = Heartbeat(timeout_seconds)
    for _ in range(beats):
        heartbeat.missed()
    return heartbeat


def test_who_answers_is_neither_silent_nor_lost() -> None:
    heartbeat = missed(49)
    heartbeat.answered()
    heartbeat.missed()
    assert not heartbeat.silent
    assert heartbeat.problem(stopped=True) is None


def test_who_does_not_answer_two_beats_is_silent() -> None:
    assert [missed(beats).silent for beats in range(4)] == [False, False, True, True]
    assert SILENT_BEATS == 2


def test_who_is_stopped_is_lost_after_half_a_second() -> None:
    assert missed(STOPPED_BEATS - 1).problem(stopped=True) is None
    assert missed(STOPPED_BEATS).problem(stopped=True) == "it is stopped"


def test_who_is_busy_or_starved_has_until_the_timeout() -> None:
    assert missed(49).problem(stopped=False) is None
    assert missed(50).problem(stopped=False) == "it has not answered for 5.0 s"
    assert missed(5, 0.01).problem(stopped=False) == "it has not answered for 0.5 s"  # no timeout is shorter


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def test_a_process_is_stopped_from_sigstop_to_sigcont(process: subprocess.Popen[bytes]) -> None:
    assert not is_stopped(process.pid)
    process.send_signal(signal.SIGSTOP)
    until(lambda: is_stopped(process.pid))
    process.send_signal(signal.SIGCONT)
    until(lambda: not is_stopped(process.pid))


def test_who_is_gone_or_runs_is_not_stopped(process: subprocess.Popen[bytes]) -> None:
    assert not is_stopped(os.getpid())
    process.kill()
    process.wait()
    assert not is_stopped(process.pid)
