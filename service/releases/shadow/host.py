"""A version that scores what the live one has scored, to be compared and never answered.

It runs in a process of its own that gets only what the processor has left, so it neither delays an answer nor takes the
server along when it crashes. Rows are shown to it when their answers are on their way, some hundreds together, and it
is shown no others before it has told how those compare; what finds too many waiting is counted and dropped.
"""

import asyncio
import logging
import socket
from collections.abc import Sequence

from prometheus_client import Counter

from thimble.models.features import Batch
from thimble.models.hashing import Floats
from thimble.models.spec import ModelSpec
from thimble.service.background import Background
from thimble.service.errors import UnavailableError
from thimble.service.releases import release
from thimble.service.releases.repository import StoredVersion
from thimble.service.releases.sandbox.host import Sandbox
from thimble.service.releases.sandbox.messages import Task
from thimble.service.releases.shadow.messages import COMPARISON_BYTES, DIFFERENCES, Backlog, Comparison, Message
from thimble.service.telemetry import metrics

# A shadow that crashed is started again after so many seconds, which double each time up to the maximum.
RESTART_SECONDS, MAX_RESTART_SECONDS = 1.0, 60.0
# How long rows wait for others to go along with.
GATHER_SECONDS = 0.1
TASK = "shadow"
log = logging.getLogger("thimble")


class Shadow:
    """A version in a sandbox process, from the server's side."""

    def __init__(self, task: Task, stored: StoredVersion, wanted: release.Shadow) -> None:
        self.wanted = wanted
        self.stored = stored
        self._name = f"version {stored.version} of {stored.model}"
        self._task = task
        self._credit = 0.0
        self._metrics = metrics.ShadowMetrics(stored.model, stored.version)
        self._dropped_rows: dict[int, Counter] = {}
        self._sandbox: Sandbox | None = None
        self._socket: socket.socket | None = None
        self._background = Background()
        self._restart_seconds = RESTART_SECONDS
        self._reported = False
        self._in_flight: Message | None = None
        self._send_timer: asyncio.TimerHandle | None = None
        self._backlog: Backlog
        self.spec: ModelSpec

    @property
    def running(self) -> bool:
        """Whether it is there to be shown batches."""
        return self._socket is not None

    async def start(self) -> None:
        """Start the process. ArtifactError: its file is refused. UnavailableError: no process can be had now."""
        try:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError as error:
            raise UnavailableError(f"no shadow can be started: {error.strerror}") from None
        with theirs:
            try:
                self._sandbox = await Sandbox.start(theirs)
                verdict = await self._sandbox.verify(self._task)
            except BaseException:
                ours.close()
                if self._sandbox is not None:
                    self._sandbox.end()
                raise
        assert verdict.spec is not None
        self.spec = verdict.spec
        self._backlog = Backlog(self.spec)
        ours.setblocking(False)
        self._socket = ours
        self._metrics.begin()
        asyncio.get_running_loop().add_reader(ours, self._on_message)

    def mirror(self, live: int, parts: Sequence[Batch], scores: Floats) -> None:
        """Show it what version `live` made of a batch that has these parts."""
        self._credit += self.wanted.share
        if self._credit < 1:
            return
        self._credit -= 1
        if self._socket is not None and self._backlog.add(live, parts, scores):
            self._send_soon()
        else:
            self._drop(live, len(scores))

    def stop(self) -> None:
        self._background.close()
        self._disconnect()
        if self._sandbox is not None:
            self._sandbox.end()

    def _send_soon(self) -> None:
        if self._in_flight is not None or not self._backlog.rows:
            return
        if self._backlog.fills_a_message:
            self._send()
        elif self._send_timer is None:
            self._send_timer = asyncio.get_running_loop().call_later(GATHER_SECONDS, self._send)

    def _send(self) -> None:
        if self._send_timer is not None:
            self._send_timer.cancel()
            self._send_timer = None
        assert self._socket is not None
        message = self._backlog.take()
        try:
            self._socket.sendmsg(message.content)
            self._in_flight = message
        except OSError:  # it is gone, which its end of the socket tells
            self._drop(message.live, message.rows)

    def _on_message(self) -> None:
        assert self._socket is not None
        try:
            message = self._socket.recv(COMPARISON_BYTES)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        if message:
            self._in_flight = None
            self._record(Comparison.unpack(message))
            self._send_soon()
            return
        self._disconnect()
        self._metrics.crash()
        self._background.keep_up(TASK, self._restart)

    def _drop(self, live: int, rows: int) -> None:
        if live not in self._dropped_rows:  # on a busy core most batches are, and to look labels up takes longest
            self._dropped_rows = {live: self._metrics.beside(live, metrics.SHADOW_ROWS, "dropped")}
        self._dropped_rows[live].inc(rows)

    def _record(self, compared: Comparison) -> None:
        unusable = compared.not_finite + compared.failed
        outcomes = {"scored": compared.rows - unusable, "not_finite": compared.not_finite, "failed": compared.failed}
        for outcome, rows in outcomes.items():
            if rows:
                self._metrics.beside(compared.live, metrics.SHADOW_ROWS, outcome).inc(rows)
        for bound, rows in zip(DIFFERENCES, compared.above, strict=True):
            self._metrics.beside(compared.live, metrics.SHADOW_ABOVE, str(bound)).inc(rows)
        self._metrics.beside(compared.live, metrics.SHADOW_ABSOLUTE).inc(compared.absolute)
        self._metrics.beside(compared.live, metrics.SHADOW_SIGNED).inc(compared.signed)
        if unusable and not self._reported:
            self._reported = True
            log.error("the shadow, %s, gave no usable score for %d rows", self._name, unusable)

    async def _restart(self) -> None:
        assert self._sandbox is not None
        ending = await self._sandbox.ending()
        log.error("the shadow, %s, %s; it is started again in %g s", self._name, ending, self._restart_seconds)
        while True:
            await asyncio.sleep(self._restart_seconds)
            self._restart_seconds = min(2 * self._restart_seconds, MAX_RESTART_SECONDS)
            try:
                await self.start()
                return
            except Exception as error:  # whatever it is, the next try may find it gone
                metrics.BACKGROUND_FAILURES.labels(TASK).inc()
                log.error("the shadow cannot be started again: %s", error)

    def _disconnect(self) -> None:
        if self._socket is None:
            return
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        self._socket = None
        self._metrics.end()
        if self._send_timer is not None:
            self._send_timer.cancel()
            self._send_timer = None
        if self._in_flight is not None:
            self._drop(self._in_flight.live, self._in_flight.rows)
            self._in_flight = None
        for live, rows in self._backlog.clear():
            self._drop(live, rows)
