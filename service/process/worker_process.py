"""A worker as the supervisor sees it."""

import itertools
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.context import ForkProcess
from time import monotonic

from prometheus_client import multiprocess

from thimble.service.process.channel import Channel
from thimble.service.process.liveness import Heartbeat, is_stopped
from thimble.service.telemetry import metrics

FORK = get_context("fork")
# How long a worker that had no file descriptor for a connection is given no other.
FULL_SECONDS = 0.5


class WorkerProcess:
    """A serving process, the channel that it gets its connections from, and whether it answers.

    It starts, then `serves` from `serves_since` on, and is `ending` at last. A connection that it is given is kept here
    until it says that it has it, so that none is lost with a worker that never takes it.
    """

    def __init__(
        self, number: int, work: Callable[[Channel], int], close: Callable[[], None], timeout_seconds: float
    ) -> None:
        """Fork it. `work` returns its exit status; `close` shuts what belongs to the supervisor alone.

        OSError: there can be no such process now.
        """
        self.number = number
        self._name = f"worker-{number}"  # by which the one that takes its place finds what it has counted
        self.serves_since: float | None = None
        self.ending = False
        self.killed = False
        self.kill_at: float | None = None
        self.channel, theirs = Channel.pair()
        self._heartbeat = Heartbeat(timeout_seconds)
        self._asked = False
        self._given: dict[int, socket.socket] = {}
        self._numbers = itertools.count()
        self._full_until = 0.0

        def run() -> None:
            # a terminal's Ctrl-C and a service manager's SIGTERM may reach all processes: the supervisor is to decide
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            metrics.SERIES.take_over(self._name)
            close()
            self.channel.close()
            sys.exit(work(theirs))

        self.process: ForkProcess = FORK.Process(target=run, name=f"worker {number}")
        try:
            self.process.start()
        except OSError:
            self.close()
            raise
        finally:
            theirs.close()

    @property
    def pid(self) -> int:
        assert self.process.pid is not None  # it was started
        return self.process.pid

    @property
    def serves(self) -> bool:
        return self.serves_since is not None and not self.ending

    @property
    def takes_connections(self) -> bool:
        return self.serves and not self._heartbeat.silent and not self.full

    @property
    def full(self) -> bool:
        """Whether it has as many open files as it may."""
        return monotonic() < self._full_until

    def give(self, connection: socket.socket) -> bool:
        """Have it serve a client. False: it cannot be told so."""
        number = next(self._numbers)
        if not self.channel.send("connection", number, connection=connection):
            return False
        self._given[number] = connection
        return True

    def took(self, number: int) -> None:
        """It has the connection."""
        self._given.pop(number).close()

    def returned(self, number: int) -> socket.socket:
        """It had no file descriptor for the connection, which is for another."""
        self._full_until = monotonic() + FULL_SECONDS
        return self._given.pop(number)

    def answered(self) -> None:
        self._asked = False
        self._heartbeat.answered()

    def beat(self) -> str | None:
        """Ask whether it is there. Returns why it is taken for lost, None if it is not.

        It answers nothing while it loads and at its end, however long that takes, unless it is stopped.
        """
        if not self.serves:
            stopped = is_stopped(self.pid)
            (self._heartbeat.missed if stopped else self._heartbeat.answered)()
            return self._heartbeat.problem(stopped)
        if self._asked or not self.channel.send("ping"):
            self._heartbeat.missed()
        else:
            self._asked = True
        return self._heartbeat.problem(self._heartbeat.silent and is_stopped(self.pid))

    def kill(self) -> None:
        self.killed = True
        self.process.kill()

    def reap(self) -> list[socket.socket]:
        """Clear up after it has ended. Returns the connections that it had not taken."""
        self.process.join()
        with suppress(OSError):
            multiprocess.mark_process_dead(self._name)  # type: ignore[no-untyped-call]
        left = [*self._given.values()]
        self._given.clear()
        self.close()
        return left

    def close(self) -> None:
        """Close, in this process, what belongs to it."""
        self.channel.close()
        for connection in self._given.values():
            connection.close()
