"""Several serving processes behind one port.

This process accepts connections and deals them out in turn, which shares them out evenly (the kernel, asked to with
SO_REUSEPORT, throws dice), and no connection is lost with a worker that had not got it yet. Workers are forked from
here, so that they share the memory of what was imported; each loads its own models. One that dies is replaced.
"""

import gc
import itertools
import logging
import multiprocessing
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.context import ForkProcess
from typing import NamedTuple

from prometheus_client import multiprocess

from thimble.service.errors import FatalError, StartupError, UnfinishedError
from thimble.service.http.keys import Keys
from thimble.service.process.channel import Channel
from thimble.service.process.listener import url_of
from thimble.service.process.tls import Certificate
from thimble.service.process.worker import serve_channel
from thimble.service.settings import Settings
from thimble.service.telemetry.metrics import WORKER_DEATHS
from thimble.service.watched import REFRESH_SECONDS

# Before a worker that failed to start is started again.
RETRY_SECONDS = 1.0
FORK = multiprocessing.get_context("fork")
log = logging.getLogger("thimble")


class Secrets(NamedTuple):
    """What workers are forked with: those in force, whatever became of their files since."""

    keys: Keys
    certificate: Certificate | None

    @property
    def watch(self) -> bool:
        """Whether they may change."""
        return self.keys.watch or self.certificate is not None

    def refresh(self) -> None:
        """Take changed files into account."""
        self.keys.refresh()
        if self.certificate is not None:
            self.certificate.refresh()


class Worker:
    """A serving process and the channel that it gets its connections from."""

    def __init__(self, number: int, settings: Settings, secrets: Secrets, close: Callable[[], None]) -> None:
        """`close` shuts, in the new process, what belongs to this one."""
        self.number = number
        self.ready = False
        self.channel, theirs = Channel.pair()

        def run() -> None:
            # a terminal's Ctrl-C and a service manager's SIGTERM may reach all processes: the supervisor is to decide
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            close()
            self.channel.close()
            sys.exit(_work(settings, secrets, theirs))

        self.process: ForkProcess = FORK.Process(target=run, name=f"worker {number}")
        self.process.start()
        theirs.close()

    def reap(self) -> None:
        self.channel.close()
        self.process.join()
        multiprocess.mark_process_dead(self.process.pid)  # type: ignore[no-untyped-call]


def _work(settings: Settings, secrets: Secrets, channel: Channel) -> int:
    try:
        serve_channel(settings, secrets.keys, secrets.certificate, channel)
    except (FatalError, StartupError, UnfinishedError) as error:
        log.error("%s", error)
        return 1
    finally:
        logging.shutdown()  # a forked process ends without it, and without its last lines
    return 0


@dataclass
class _Sync:
    """A change that a worker made and that the others are to follow."""

    asker: Worker
    waiting: set[Worker]
    problems: list[str] = field(default_factory=list)


class Supervisor:
    """Starts the workers, deals connections out to them and replaces the dead until it is told to stop."""

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        """StartupError: there is something wrong with the keys or the certificate."""
        self._settings = settings
        self._secrets = Secrets(Keys(settings), Certificate.of(settings))
        self._listener = listener
        self._url = url_of(listener, self._secrets.certificate is not None)
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._workers: dict[int, Worker] = {}
        self._retry: dict[int, float] = {}
        self._turn = 0
        self._syncs: dict[int, _Sync] = {}
        self._numbers = itertools.count()
        self._announced = False
        self._stopping = False
        self._ends: float | None = None
        self._failed = False

    def run(self) -> None:
        """Returns after SIGINT or SIGTERM, when the workers have answered what they had accepted.

        StartupError: a worker could not start, and has said why.
        """
        gc.collect()
        gc.freeze()  # what is imported stays shared between the workers
        self._listener.setblocking(False)
        for stop in (signal.SIGINT, signal.SIGTERM):
            signal.signal(stop, lambda number, _: self._wake.send(bytes([number])))
        self._selector.register(self._woken, selectors.EVENT_READ, self._on_signal)
        for number in range(self._settings.workers):
            self._start(number)
        while self._workers or self._retry:
            self._do_what_is_due()
            for key, _ in self._selector.select(self._timeout()):
                key.data()
        if self._failed:
            raise StartupError("a worker could not start")

    def _start(self, number: int) -> None:
        worker = self._workers[number] = Worker(number, self._settings, self._secrets, self._close_inherited)
        self._selector.register(worker.channel, selectors.EVENT_READ, lambda: self._on_message(worker))
        self._selector.register(worker.process.sentinel, selectors.EVENT_READ, lambda: self._on_exit(worker))
        if self._ends is not None:
            worker.channel.send("drain")

    def _close_inherited(self) -> None:
        self._selector.close()
        for inherited in (self._listener, self._wake, self._woken):
            inherited.close()
        for worker in self._workers.values():
            worker.channel.close()

    def _on_message(self, worker: Worker) -> None:
        if self._workers.get(worker.number) is not worker:
            return  # it was reaped a moment ago
        message, _ = worker.channel.receive()
        match message:
            case []:  # its end: the sentinel tells the rest
                self._selector.unregister(worker.channel)
                worker.ready = False
            case ["ready"]:
                self._is_ready(worker)
            case ["sync", model]:
                number = next(self._numbers)
                others = {other for other in self._workers.values() if other is not worker}
                self._syncs[number] = _Sync(worker, others)
                for other in others:
                    other.channel.send("sync", number, model)
                self._report(number)
            case ["done", number, problem]:
                if problem is not None:
                    self._syncs[number].problems.append(f"worker {worker.process.pid}: {problem}")
                self._syncs[number].waiting.discard(worker)
                self._report(number)

    def _is_ready(self, worker: Worker) -> None:
        if self._stopping:
            return
        worker.ready = True
        if self._listener not in self._selector.get_map():
            self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        if not self._announced and all(other.ready for other in self._workers.values()):
            self._announced = True
            log.info("serving at %s with %d workers", self._url, len(self._workers))

    def _report(self, number: int) -> None:
        """Tell who asked, once all others have done as it did."""
        sync = self._syncs[number]
        if not sync.waiting:
            del self._syncs[number]
            sync.asker.channel.send("synced", sync.problems)

    def _accept(self) -> bool:
        """Deal out what has come in, in turn. False if nothing has, or nobody is there to take it."""
        ready = [worker for worker in self._workers.values() if worker.ready]
        if not ready:
            self._selector.unregister(self._listener)  # they wait in the listener's queue
            return False
        try:
            connection, _ = self._listener.accept()
        except OSError:  # none, or gone again
            return False
        with connection:
            for _ in ready:
                self._turn += 1
                if ready[self._turn % len(ready)].channel.send("connection", connections=[connection]):
                    break
        return True

    def _on_exit(self, worker: Worker) -> None:
        self._selector.unregister(worker.process.sentinel)
        if worker.channel in self._selector.get_map():
            self._selector.unregister(worker.channel)
        del self._workers[worker.number]
        worker.reap()
        for number, sync in list(self._syncs.items()):  # one that takes its place reads what is written down
            sync.waiting.discard(worker)
            self._report(number)
        if self._stopping:
            return
        if not self._announced:
            self._failed = True
            self._stop()
            return
        WORKER_DEATHS.inc()
        log.error("worker %d died with status %d and is replaced", worker.process.pid, worker.process.exitcode)
        self._retry[worker.number] = time.monotonic() + (0 if worker.ready else RETRY_SECONDS)

    def _do_what_is_due(self) -> None:
        self._secrets.refresh()
        now = time.monotonic()
        for number in [number for number, when in self._retry.items() if when <= now]:
            del self._retry[number]
            self._start(number)
        if self._ends is not None and self._ends <= now and not self._stopping:
            self._stop()

    def _timeout(self) -> float | None:
        """Seconds until something is due."""
        due = [*self._retry.values(), *([self._ends] if self._ends is not None and not self._stopping else [])]
        seconds = max(min(due) - time.monotonic(), 0) if due else None
        if not self._secrets.watch:
            return seconds
        return REFRESH_SECONDS if seconds is None else min(seconds, REFRESH_SECONDS)

    def _on_signal(self) -> None:
        """SIGTERM is obeyed in time, SIGINT and a second signal at once."""
        (number,) = self._woken.recv(1)
        in_time = number == signal.SIGTERM and self._ends is None and self._announced
        self._ends = time.monotonic() + (self._settings.drain_s if in_time else 0)
        for worker in self._workers.values():
            worker.channel.send("drain")

    def _stop(self) -> None:
        self._stopping = True
        self._retry.clear()
        if self._listener in self._selector.get_map():
            while self._accept():  # what waits in the listener's queue would be lost with it
                pass
            self._selector.unregister(self._listener)
        self._listener.close()
        for worker in self._workers.values():
            worker.channel.send("stop")
