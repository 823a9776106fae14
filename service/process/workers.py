"""Several serving processes behind one port.

This process accepts connections and deals them out in turn, which shares them out evenly (the kernel, asked to with
SO_REUSEPORT, throws dice), and no connection is lost with a worker that had not got it yet. Workers are forked from
here, so that they share the memory of what was imported; each loads its own models. One that dies is replaced, and so
is one that hangs, which is killed first. Nothing here waits for a worker: the supervisor has to answer signals, and see
to the others, whatever one of them does.
"""

import gc
import logging
import selectors
import signal
import socket
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import NamedTuple

from thimble.service.errors import FatalError, StartupError, UnfinishedError
from thimble.service.http.access import AccessLog
from thimble.service.http.keys import Keys
from thimble.service.process.channel import Channel
from thimble.service.process.deadline import end_within
from thimble.service.process.dealer import Dealer
from thimble.service.process.listener import url_of
from thimble.service.process.liveness import BEAT_SECONDS
from thimble.service.process.restarts import Restarts
from thimble.service.process.server import LAST_SECONDS
from thimble.service.process.syncs import Syncs
from thimble.service.process.tls import Certificate
from thimble.service.process.worker import serve_channel
from thimble.service.process.worker_process import WorkerProcess
from thimble.service.settings import Settings
from thimble.service.telemetry.metrics import WORKER_DEATHS

# Beyond --stop-timeout-s, at which workers end by themselves, before those that have not are killed.
KILL_SECONDS = 1.0
log = logging.getLogger("thimble")


class Secrets(NamedTuple):
    """What workers are forked with: those in force, whatever became of their files since."""

    keys: Keys
    certificate: Certificate | None

    def refresh(self) -> None:
        """Take changed files into account."""
        self.keys.refresh()
        if self.certificate is not None:
            self.certificate.refresh()


class Supervisor:
    """Starts the workers, deals connections out to them and replaces the dead until it is told to stop."""

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        """StartupError: there is something wrong with the keys or the certificate."""
        self._settings = settings
        self._secrets = Secrets(Keys(settings), Certificate.of(settings))
        tls = self._secrets.certificate is not None
        self._url = url_of(listener, tls)
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._workers: dict[int, WorkerProcess] = {}
        self._restarts = Restarts()
        self._fault: str | None = None
        access_log = AccessLog(settings.log_probes) if settings.access_log else None
        self._dealer = Dealer(
            listener, tls, self._selector, self._workers.values(), lambda: self._restarts.problem, access_log
        )
        self._syncs = Syncs()
        self._next_beat = 0.0
        self._announced = False
        self._replaces = True
        self._ends: float | None = None
        self._stopping = False
        self._failure: str | None = None
        self._unfinished = 0

    def run(self) -> None:
        """Returns after SIGINT or SIGTERM, when the workers have answered what they had accepted.

        StartupError: a worker could not start, and has said why. UnfinishedError: workers had to be killed.
        """
        gc.collect()
        gc.freeze()  # what is imported stays shared between the workers
        for end in (self._wake, self._woken):
            end.setblocking(False)
        for stop in (signal.SIGINT, signal.SIGTERM):
            signal.signal(stop, lambda number, _: self._on_signal(number))
        self._selector.register(self._woken, selectors.EVENT_READ, self._on_woken)
        for number in range(self._settings.workers):
            self._start(number)
        try:
            while not self._stopping or self._workers or not self._dealer.idle:
                for key, _ in self._selector.select(max(self._next_beat - monotonic(), 0)):
                    key.data()
                self._do_what_is_due()
        finally:
            for worker in self._workers.values():
                worker.close()  # which they take for the end of the supervisor
        if self._failure is not None:
            raise StartupError(self._failure)
        if self._unfinished:
            raise UnfinishedError(f"{self._unfinished} of the workers ended before all that they had was answered")

    def _start(self, number: int) -> None:
        if not self._replaces:
            return
        work, close = partial(_work, self._settings, self._secrets), self._close_inherited
        try:
            worker = WorkerProcess(number, work, close, self._settings.worker_timeout_s)
        except OSError as error:
            self._replace(number, f"worker {number} could not be started ({error.strerror})", 0)
            return
        self._workers[number] = worker
        self._selector.register(worker.channel, selectors.EVENT_READ, lambda: self._on_messages(worker))
        self._selector.register(worker.process.sentinel, selectors.EVENT_READ, lambda: self._on_exit(worker))
        if self._fault is not None:
            worker.channel.post("fault", self._fault)

    def _close_inherited(self) -> None:
        self._selector.close()
        self._dealer.close_inherited()
        for end in (self._wake, self._woken):
            end.close()
        for worker in self._workers.values():
            worker.close()

    def _on_messages(self, worker: WorkerProcess) -> None:
        if self._workers.get(worker.number) is not worker:
            return  # it was reaped a moment ago
        while (message := worker.channel.receive()) is not None:
            match message.words:
                case []:  # its end: the sentinel tells the rest
                    self._forget(worker.channel)
                    break
                case ["pong"]:
                    worker.answered()
                case ["ready"]:
                    self._on_ready(worker)
                case ["taken", number]:
                    worker.took(number)
                case ["returned", number]:
                    self._dealer.deal(worker.returned(number))
                case ["sync", asked, model, release]:
                    others = [other for other in self._workers.values() if other is not worker]
                    answer = partial(worker.channel.post, "synced", asked)
                    self._syncs.begin(model, release, others, monotonic(), answer)
                case ["done", number, problem]:
                    self._syncs.done(worker, number, problem)
                case ["ending"]:
                    self._on_ending(worker)
        self._dealer.go_on()

    def _on_ready(self, worker: WorkerProcess) -> None:
        worker.serves_since = monotonic()
        if not self._announced and all(other.serves for other in self._workers.values()):
            self._announced = True
            log.info("serving at %s with %d workers", self._url, len(self._workers))

    def _on_ending(self, worker: WorkerProcess) -> None:
        worker.ending = True
        if worker.kill_at is None:
            worker.kill_at = monotonic() + self._settings.stop_timeout_s + KILL_SECONDS
        self._syncs.left(worker)

    def _on_exit(self, worker: WorkerProcess) -> None:
        self._on_messages(worker)  # what it said last
        self._forget(worker.process.sentinel)
        self._forget(worker.channel)
        del self._workers[worker.number]
        for connection in worker.reap():
            self._dealer.deal(connection)
        self._syncs.left(worker)
        served, status = worker.serves_since, worker.process.exitcode
        if self._replaces:
            seconds = monotonic() - served if served is not None else 0
            self._replace(worker.number, f"worker {worker.pid} died with status {status}", seconds)
        elif status and served is not None:
            log.error("worker %d ended with status %d while the server stopped", worker.pid, status)
            self._unfinished += 1

    def _replace(self, number: int, death: str, served: float) -> None:
        """Have another worker take the place of one that served for so many seconds."""
        if not self._announced:
            log.error("%s", death)
            self._failure = "a worker could not start"
            self._stop()
            return
        WORKER_DEATHS.inc()
        pause = self._restarts.ended(number, served, monotonic())
        log.error("%s and is replaced%s", death, f" in {pause:g} s" if pause else "")

    def _do_what_is_due(self) -> None:
        now = monotonic()
        if now < self._next_beat:
            return
        self._next_beat = now + BEAT_SECONDS
        self._secrets.refresh()
        for number in self._restarts.take_due(now):
            self._start(number)
        for worker in self._workers.values():
            self._look_after(worker, now)
        self._syncs.expire(now)
        self._tell_fault()
        if self._ends is not None and self._ends <= now and not self._stopping:
            self._stop()
        self._dealer.go_on()

    def _look_after(self, worker: WorkerProcess, now: float) -> None:
        worker.channel.flush()
        if worker.killed:
            return
        if worker.serves_since is not None and not worker.ending:
            self._restarts.serves(worker.number, now - worker.serves_since)
        problem = worker.beat()
        if problem is None and worker.kill_at is not None and worker.kill_at <= now:
            problem = f"it has not ended within {self._settings.stop_timeout_s:g} s"
        if problem is not None:
            log.error("worker %d is killed: %s", worker.pid, problem)
            worker.kill()

    def _tell_fault(self) -> None:
        """Have the workers say that the server is not ready while one of them keeps dying, and until it serves well."""
        fault = self._restarts.problem
        if fault != self._fault:
            if fault is None:
                log.info("workers no longer keep dying")
            elif self._fault is None:
                log.error("%s", fault)
            self._fault = fault
            for worker in self._workers.values():
                worker.channel.post("fault", fault)

    def _on_signal(self, number: int) -> None:
        """In between any two steps of the loop, or while it hangs."""
        self._replaces = False  # who is started now would hardly serve in time, and `end_within` forbids it
        end_within(self._settings.drain_s + self._settings.stop_timeout_s + LAST_SECONDS)
        with suppress(OSError):  # it is awake
            self._wake.send(bytes([number]))

    def _on_woken(self) -> None:
        """SIGTERM is obeyed in time, SIGINT and a second signal at once."""
        (number,) = self._woken.recv(1)
        in_time = number == signal.SIGTERM and self._ends is None and self._announced
        self._ends = monotonic() + (self._settings.drain_s if in_time else 0)
        self._next_beat = 0
        for worker in self._workers.values():
            worker.channel.post("drain")

    def _forget(self, file: Channel | int) -> None:
        with suppress(KeyError):  # it was forgotten before
            self._selector.unregister(file)

    def _stop(self) -> None:
        self._replaces, self._stopping = False, True
        self._dealer.close()
        for worker in self._workers.values():
            worker.channel.post("stop")
            worker.kill_at = monotonic() + self._settings.stop_timeout_s + KILL_SECONDS
            if worker.serves_since is None:
                worker.kill()  # it has nothing to answer, and may load for minutes


def _work(settings: Settings, secrets: Secrets, channel: Channel) -> int:
    try:
        serve_channel(settings, secrets.keys, secrets.certificate, channel)
    except (FatalError, StartupError, UnfinishedError) as error:
        log.error("%s", error)
        return 1
    finally:
        logging.shutdown()  # a forked process ends without it, and without its last lines
    return 0
