"""A version that scores what the live one has scored, to be compared and never answered.

It runs in a process apart that gets only what the processor has left, so it neither delays an answer nor takes the
server along when it crashes. Rows are shown to it when their answers are on their way, some hundreds together, and it
is shown no others before it has told how those compare; what finds too many waiting is counted and dropped.
"""

import asyncio
import logging
import socket
from collections.abc import Sequence

from thimble.models.features import Batch
from thimble.models.hashing import Floats
from thimble.models.spec import ModelSpec
from thimble.service.engine.artifact import ArtifactError
from thimble.service.releases import release
from thimble.service.releases.repository import StoredVersion
from thimble.service.releases.sandbox.host import Sandbox
from thimble.service.releases.sandbox.process import Task
from thimble.service.releases.shadow.messages import COMPARISON_BYTES, Backlog, Comparison, Message
from thimble.service.telemetry.metrics import ShadowMetrics

# A shadow that crashed is started again after so many seconds, which double each time up to the second.
PAUSES = (1.0, 60.0)
# How long rows wait for others to go along with.
GATHER_SECONDS = 0.1
log = logging.getLogger("thimble")


class Shadow:
    """A version in a process apart, from the server's side."""

    def __init__(self, task: Task, place: StoredVersion, wanted: release.Shadow) -> None:
        self.wanted = wanted
        self.place = place
        self._task = task
        self._credit = 0.0
        self._metrics = ShadowMetrics(place.model, place.version)
        self._apart: Sandbox | None = None
        self._socket: socket.socket | None = None
        self._revival: asyncio.Task[None] | None = None
        self._pause = PAUSES[0]
        self._complained = False
        self._shown: Message | None = None
        self._sending: asyncio.TimerHandle | None = None
        self._backlog: Backlog
        self.spec: ModelSpec

    @property
    def running(self) -> bool:
        """Whether it is there to be shown batches."""
        return self._socket is not None

    async def start(self) -> None:
        """Start the process. ArtifactError: its file is refused."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self._apart = await Sandbox.start(theirs)
                verdict = await self._apart.verdict(self._task)
            except BaseException:
                ours.close()
                raise
        assert verdict.spec is not None
        self.spec = verdict.spec
        self._backlog = Backlog(self.spec)
        ours.setblocking(False)
        self._socket = ours
        self._metrics.up(True)
        asyncio.get_running_loop().add_reader(ours, self._hear)

    def mirror(self, live: int, parts: Sequence[Batch], scores: Floats) -> None:
        """Show it what version `live` made of a batch that has these parts."""
        self._credit += self.wanted.share
        if self._credit < 1:
            return
        self._credit -= 1
        if self._socket is not None and self._backlog.add(live, parts, scores):
            self._send_in_time()
        else:
            self._metrics.dropped(live, len(scores))

    def stop(self) -> None:
        """End it."""
        if self._revival is not None:
            self._revival.cancel()
        self._disconnect()
        if self._apart is not None:
            self._apart.end()

    def _send_in_time(self) -> None:
        if self._shown is not None or not self._backlog.rows:
            return
        if self._backlog.fills_a_message:
            self._send()
        elif self._sending is None:
            self._sending = asyncio.get_running_loop().call_later(GATHER_SECONDS, self._send)

    def _send(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None
        if self._shown is not None or not self._backlog.rows:
            return
        assert self._socket is not None
        message = self._backlog.take()
        try:
            self._socket.sendmsg(message.content)
            self._shown = message
        except OSError:  # it is gone, which its end of the socket tells
            self._metrics.dropped(message.live, message.rows)

    def _hear(self) -> None:
        assert self._socket is not None
        try:
            message = self._socket.recv(COMPARISON_BYTES)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        if message:
            self._shown = None
            self._note(Comparison.unpack(message))
            self._send_in_time()
            return
        self._disconnect()
        self._metrics.crashed()
        self._revival = asyncio.get_running_loop().create_task(self._revive())

    def _note(self, comparison: Comparison) -> None:
        self._metrics.compared(
            comparison.live, comparison.outcomes, comparison.absolute, comparison.signed, comparison.diverged
        )
        if (unusable := comparison.failed + comparison.not_finite) and not self._complained:
            self._complained = True
            name, version = self.place.model, self.place.version
            log.error("the shadow, version %d of %s, gave no usable score for %d rows", version, name, unusable)

    async def _revive(self) -> None:
        assert self._apart is not None
        log.error(
            "the shadow, version %d of %s, %s; it is started again in %g s",
            self.place.version,
            self.place.model,
            await self._apart.manner(),
            self._pause,
        )
        while True:
            await asyncio.sleep(self._pause)
            self._pause = min(2 * self._pause, PAUSES[1])
            try:
                await self.start()
                return
            except ArtifactError as error:
                log.error("the shadow cannot be started again: %s", error)

    def _disconnect(self) -> None:
        if self._socket is None:
            return
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        self._socket = None
        self._metrics.up(False)
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None
        lost = self._backlog.clear()
        if self._shown is not None:
            lost.append((self._shown.live, self._shown.rows))
            self._shown = None
        for live, rows in lost:
            self._metrics.dropped(live, rows)
