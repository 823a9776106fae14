"""Several serving processes behind one port.

This process accepts connections and deals them out in turn, which shares them out evenly (the kernel, asked to with
SO_REUSEPORT, throws dice), and no connection is lost with a worker that had not got it yet. Workers are forked from
here, so that they share the memory of what was imported; each loads its own models. One that dies is replaced.
"""

import gc
import logging
import multiprocessing
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from multiprocessing.context import ForkProcess

from prometheus_client import multiprocess

from service.errors import StartupError
from service.listener import url_of
from service.registry import Registry
from service.server import READY, serve_channel
from service.settings import Settings

# Before a worker that failed to start is started again.
RETRY_SECONDS = 1.0
FORK = multiprocessing.get_context("fork")
log = logging.getLogger("thimble")


class Worker:
    """A serving process and the channel that it gets its connections from."""

    def __init__(self, number: int, settings: Settings, close: Callable[[], None]) -> None:
        """`close` shuts, in the new process, what belongs to this one."""
        self.number = number
        self.ready = False
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

        def run() -> None:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            close()
            self.channel.close()
            sys.exit(_work(settings, theirs))

        self.process: ForkProcess = FORK.Process(target=run, name=f"worker {number}")
        self.process.start()
        theirs.close()

    def take(self, connection: socket.socket) -> bool:
        """Hand a connection over; False if the worker is gone."""
        try:
            socket.send_fds(self.channel, [b"+"], [connection.fileno()])
        except OSError:
            return False
        return True

    def bury(self) -> None:
        """Free what a dead worker leaves."""
        self.channel.close()
        self.process.join()
        multiprocess.mark_process_dead(self.process.pid)  # type: ignore[no-untyped-call]


def _work(settings: Settings, channel: socket.socket) -> int:
    try:
        serve_channel(Registry(settings), settings, channel)
    except StartupError as error:
        log.error("%s", error)
        return 1
    return 0


class Supervisor:
    """Starts the workers, deals connections out to them and replaces the dead until it is told to stop."""

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        self._settings = settings
        self._listener = listener
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._workers: dict[int, Worker] = {}
        self._retry: dict[int, float] = {}
        self._turn = 0
        self._announced = False
        self._stopping = False
        self._failed = False

    def run(self) -> None:
        """Returns after SIGINT or SIGTERM, when the workers have answered what they had accepted.

        StartupError: a worker could not start, and has said why.
        """
        gc.collect()
        gc.freeze()  # what is imported stays shared between the workers
        self._listener.setblocking(False)
        signal.signal(signal.SIGINT, lambda *_: self._wake.send(b"!"))
        signal.signal(signal.SIGTERM, lambda *_: self._wake.send(b"!"))
        self._selector.register(self._woken, selectors.EVENT_READ, self._told_to_stop)
        for number in range(self._settings.workers):
            self._start(number)
        while self._workers or self._retry:
            self._restart_due()
            for key, _ in self._selector.select(self._patience()):
                key.data()
        if self._failed:
            raise StartupError("a worker could not start")

    def _start(self, number: int) -> None:
        worker = self._workers[number] = Worker(number, self._settings, self._close_inherited)
        self._selector.register(worker.channel, selectors.EVENT_READ, lambda: self._hear(worker))
        self._selector.register(worker.process.sentinel, selectors.EVENT_READ, lambda: self._mourn(worker))

    def _close_inherited(self) -> None:
        self._selector.close()
        for inherited in (self._listener, self._wake, self._woken, *(w.channel for w in self._workers.values())):
            inherited.close()

    def _hear(self, worker: Worker) -> None:
        if self._workers.get(worker.number) is not worker:
            return  # it was buried a moment ago
        if worker.channel.recv(len(READY)) != READY:  # its end: the sentinel tells the rest
            self._selector.unregister(worker.channel)
            worker.ready = False
        elif not self._stopping:
            worker.ready = True
            if self._listener not in self._selector.get_map():
                self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
            if not self._announced and all(other.ready for other in self._workers.values()):
                self._announced = True
                log.info("serving at %s with %d workers", url_of(self._listener), len(self._workers))

    def _accept(self) -> None:
        """Deal out what has come in, in turn."""
        ready = [worker for worker in self._workers.values() if worker.ready]
        if not ready:
            self._selector.unregister(self._listener)  # they wait in the listener's queue
            return
        try:
            connection, _ = self._listener.accept()
        except OSError:  # gone again
            return
        with connection:
            for _ in ready:
                self._turn += 1
                if ready[self._turn % len(ready)].take(connection):
                    return

    def _mourn(self, worker: Worker) -> None:
        self._selector.unregister(worker.process.sentinel)
        if worker.channel in self._selector.get_map():
            self._selector.unregister(worker.channel)
        del self._workers[worker.number]
        worker.bury()
        if self._stopping:
            return
        if not self._announced:
            self._failed = True
            self._stop()
            return
        log.error("worker %d died with status %d and is replaced", worker.process.pid, worker.process.exitcode)
        self._retry[worker.number] = time.monotonic() + (0 if worker.ready else RETRY_SECONDS)

    def _restart_due(self) -> None:
        now = time.monotonic()
        for number in [number for number, when in self._retry.items() if when <= now]:
            del self._retry[number]
            self._start(number)

    def _patience(self) -> float | None:
        return max(min(self._retry.values()) - time.monotonic(), 0) if self._retry else None

    def _told_to_stop(self) -> None:
        self._woken.recv(64)
        if not self._stopping:
            self._stop()

    def _stop(self) -> None:
        self._stopping = True
        self._retry.clear()
        if self._listener in self._selector.get_map():
            self._selector.unregister(self._listener)
        self._listener.close()
        for worker in self._workers.values():
            if worker.process.pid is not None:
                os.kill(worker.process.pid, signal.SIGTERM)
