"""How long others wait meanwhile."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

from testing.servers import Server
from tests.service.http.hostile.wire import Wire

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
PAUSE_SECONDS = 0.002


class Pinger:
    """Asks a server whether it lives, again and again. `worst` is the longest it had to wait, in seconds.

    On a busy machine a server that works waits for a core longer than one that does not: while its event loop could
    have run and had no core, nothing is counted.
    """

    def __init__(self, server: Server) -> None:
        self.worst = 0.0
        self._schedstat = Path(f"/proc/{server.process.pid}/schedstat")
        self._wire = Wire(server)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def _ask(self) -> None:
        while not self._stop.wait(PAUSE_SECONDS):
            start, starved = perf_counter(), self._starved_seconds()
            self._wire.send(REQUEST)
            assert self._wire.answer().status == 200
            waited = perf_counter() - start
            self.worst = max(self.worst, waited - (self._starved_seconds() - starved))

    def _starved_seconds(self) -> float:
        return int(self._schedstat.read_text().split()[1]) / 1e9

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self._wire.close()


class Waits:
    """By how many seconds the worst wait at one server is above that at another, `extra`, once the block is done."""

    extra = 0.0


@contextmanager
def waits(server: Server, idle: Server) -> Iterator[Waits]:
    """What clients of a server wait longer than those of an idle one on the same machine at the same time."""
    found, one, other = Waits(), Pinger(server), Pinger(idle)
    try:
        yield found
    finally:
        one.stop()
        other.stop()
        found.extra = one.worst - other.worst
