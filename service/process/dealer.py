"""Takes the connections of clients and deals them out to the workers that answer."""

import logging
import selectors
import socket
from collections.abc import Callable, Collection
from contextlib import suppress
from time import monotonic

from thimble.service.http.access import AccessLog
from thimble.service.process.listener import BACKLOG
from thimble.service.process.refusals import Refusals
from thimble.service.process.worker_process import WorkerProcess

# Before the next connection is tried where one could not be had, for there are too many open files or no memory.
PAUSE_SECONDS = 0.1
# How long clients wait for a worker where none takes them: most often another is there in that time, or answers again.
PATIENCE_SECONDS = 1.0
log = logging.getLogger("thimble")


class Dealer:
    """Deals in turn.

    While nobody takes any, connections wait in the listener's queue, but not for long: then they are refused, as they
    are at once where no worker may open another file.
    """

    def __init__(
        self,
        listener: socket.socket,
        tls: bool,
        selector: selectors.BaseSelector,
        workers: Collection[WorkerProcess],
        problem: Callable[[], str | None],
        access_log: AccessLog | None,
    ) -> None:
        """`problem` says what is wrong with the workers, None where nothing is known."""
        listener.setblocking(False)
        self._listener = listener
        self._selector = selector
        self._workers = workers
        self._problem = problem
        self._refusals = Refusals(selector, tls, access_log)
        self._waiting: list[socket.socket] = []
        self._turn = 0
        self._taken_last: float | None = None
        self._paused_until: float | None = None
        self._closed = False

    @property
    def idle(self) -> bool:
        """Whether all connections were dealt out or refused."""
        return not self._waiting and not self._refusals

    def go_on(self) -> None:
        """See to what waits, and whether there is somebody to take more. To be called often."""
        now = monotonic()
        self._refusals.expire(now)
        if self._somebody():
            self._taken_last = now
        waiting, self._waiting = self._waiting, []
        for connection in waiting:
            self.deal(connection)
        if self._closed:
            return
        paused = self._paused_until is not None and now < self._paused_until
        self._listen(not paused and not self._waiting and (self._somebody() or self._refusal() is not None))

    def deal(self, connection: socket.socket) -> None:
        """Give a connection to the next worker that takes it, refuse it, or let it wait."""
        takers = [worker for worker in self._workers if worker.takes_connections]
        for _ in takers:
            self._turn += 1
            if takers[self._turn % len(takers)].give(connection):
                return
        if (refusal := self._refusal()) is not None:
            self._refusals.refuse(connection, refusal, monotonic())
        else:
            self._waiting.append(connection)

    def close(self) -> None:
        """Deal out what waits in the listener's queue, which would be lost with it, and take no more."""
        for _ in range(BACKLOG):
            if not self._accept():
                break
        self._listen(False)
        self._closed = True
        self._listener.close()
        self.go_on()

    def close_inherited(self) -> None:
        """Close what is the supervisor's alone, in a process that was forked from it and has closed the selector."""
        self._listener.close()
        self._refusals.close()
        for connection in self._waiting:
            connection.close()

    def _somebody(self) -> bool:
        return any(worker.takes_connections for worker in self._workers)

    def _refusal(self) -> str | None:
        """Why connections that nobody takes are refused, None if they are to wait."""
        serving = [worker for worker in self._workers if worker.serves]
        if serving and all(worker.full for worker in serving):
            return "the workers have as many open files as they may"
        if self._closed and not serving:
            return "the server is shutting down"
        if self._taken_last is None or monotonic() - self._taken_last < PATIENCE_SECONDS:
            return None
        return self._problem() or "no worker answers"

    def _listen(self, wanted: bool) -> None:
        if wanted and self._listener not in self._selector.get_map():
            self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        elif not wanted:
            with suppress(KeyError):
                self._selector.unregister(self._listener)

    def _accept(self) -> bool:
        """Deal out the next connection. False: there is none, or it cannot be had."""
        if self._closed:  # a moment ago
            return False
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return False
        except ConnectionError:  # its client has gone again
            return True
        except OSError as error:
            if self._paused_until is None:
                log.error("connections have to wait: %s", error.strerror)
            self._paused_until = monotonic() + PAUSE_SECONDS
            self._listen(False)
            return False
        self._paused_until = None
        self.deal(connection)
        if self._waiting:
            self._listen(False)
        return True
