"""The server's side of the sandbox: has files verified by its process, to which the event loop yields the core."""

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Self

from thimble.service.background import Background
from thimble.service.engine.artifact import ArtifactError
from thimble.service.errors import UnavailableError
from thimble.service.releases.sandbox.environment import environment
from thimble.service.releases.sandbox.limits import CPU_SECONDS, OUT_OF_MEMORY
from thimble.service.releases.sandbox.messages import Task, Verdict

# A model of 100 GB off a slow disk takes so long; a file that hangs ONNX Runtime must not block releases for ever.
TIMEOUT_SECONDS = 600
# How long a process stays for another file. Its imports take ten times as long as a model of 10 MB.
IDLE_SECONDS = 10
# What the start of a process opens, and some more.
DESCRIPTORS = 12
# From when a process says no more until it has ended.
ENDING_SECONDS = 5
MAX_VERDICT_BYTES = 1 << 28
# Of what the process said last, in a sentence on how it ended.
SHOWN = 300
# How long the event loop leaves the core to the process, and how often.
YIELD_SECONDS, EVERY_SECONDS = 0.0002, 0.04
log = logging.getLogger("thimble")


class EndedError(ArtifactError):
    """The process did not survive a file."""


class Sandbox:
    """A sandbox process, from the server's side."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._last_words = ""
        self._background = Background()
        self._errors = self._background.keep_up("sandbox log", self._log_errors)

    @classmethod
    async def start(cls, *sockets: socket.socket) -> Self:
        """Start one, to be a shadow if it is given a socket. UnavailableError: no process can be had now."""
        descriptors = [it.fileno() for it in sockets]
        # -P: whatever lies in the folder that the server was started in is none of its modules
        command = (sys.executable, "-P", "-m", "thimble.service.releases.sandbox.process", *map(str, descriptors))
        try:
            _check_descriptors()
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                pass_fds=descriptors,
                cwd="/",
                env=environment(os.environ),
                limit=MAX_VERDICT_BYTES,
            )
        except OSError as error:
            raise UnavailableError(f"no sandbox process can be started: {error.strerror}") from None
        return cls(process)

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    async def verify(self, task: Task) -> Verdict:
        """Have a file verified.

        ArtifactError: why it is refused. UnavailableError: why that cannot be told now. The process may have ended.
        """
        tasks, verdicts = self._process.stdin, self._process.stdout
        assert tasks is not None and verdicts is not None
        self._last_words = ""
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS), _yielding():
                with suppress(RuntimeError, OSError):  # it may have ended already: reading tells
                    tasks.write(f"{task.model_dump_json()}\n".encode())
                line = await verdicts.readline()
                if not line.endswith(b"\n"):
                    raise EndedError(f"{task.path}: the process that loaded it {await self.ending()}")
                verdict = Verdict.model_validate_json(line)
        except BaseException as error:
            self.end()
            if isinstance(error, TimeoutError):
                raise ArtifactError(f"{task.path}: could not be loaded within {TIMEOUT_SECONDS} s") from None
            if isinstance(error, ValueError) and not isinstance(error, ArtifactError):
                raise EndedError(f"{task.path}: the process that loaded it gave no verdict") from None
            raise
        if verdict.unavailable is not None:
            raise UnavailableError(verdict.unavailable)
        if verdict.refused is not None:
            raise ArtifactError(verdict.refused)
        return verdict

    async def ending(self) -> str:
        """How it ended, with what it said last. It has closed its side, so it is waited for, but not for long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(ENDING_SECONDS):
                await self._process.wait()
        self.end()
        status = await self._process.wait()
        await asyncio.wait([self._errors])
        if -status == signal.SIGXCPU:
            return f"used more than {CPU_SECONDS} s of processor time"
        if OUT_OF_MEMORY.search(self._last_words):
            return f"ran out of the memory that it may take ({self._last_words[:SHOWN]})"
        ending = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        return f"{ending} ({self._last_words[:SHOWN]})" if self._last_words else ending

    def end(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()

    async def _log_errors(self) -> None:
        """Pass on what it writes to standard error, until it has ended."""
        errors = self._process.stderr
        assert errors is not None
        while not errors.at_eof():
            with suppress(ValueError):  # a line that is too long
                if said := (await errors.readline()).decode(errors="replace").strip():
                    self._last_words = said
                    log.warning("sandbox process: %s", said)


class Verifier:
    """Has files verified, each in a sandbox process, of which one stays for a while when there is no more to do."""

    def __init__(self) -> None:
        self._busy: set[Sandbox] = set()
        self._idle: Sandbox | None = None
        self._idle_end: asyncio.TimerHandle | None = None

    async def verify(self, task: Task) -> Verdict:
        """Have a file verified.

        ArtifactError: why it is refused, be it that the process did not survive it. UnavailableError: why that cannot
        be told now.
        """
        idle = self._take_idle()
        if idle is not None:
            with suppress(EndedError):  # perhaps by what an earlier file did to it
                return await self._verify(idle, task)
        return await self._verify(await Sandbox.start(), task)

    def end(self) -> None:
        """End all processes, also those that verify."""
        for sandbox in self._busy:
            sandbox.end()
        self._end_idle()

    async def _verify(self, sandbox: Sandbox, task: Task) -> Verdict:
        self._busy.add(sandbox)
        try:
            return await sandbox.verify(task)
        finally:
            self._busy.discard(sandbox)
            self._keep(sandbox)

    def _keep(self, sandbox: Sandbox) -> None:
        """Have it wait for another file, unless one waits already."""
        if self._idle is not None:
            sandbox.end()
        elif sandbox.running:
            self._idle = sandbox
            self._idle_end = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._end_idle)

    def _end_idle(self) -> None:
        if (idle := self._take_idle()) is not None:
            idle.end()

    def _take_idle(self) -> Sandbox | None:
        """The one that waits, if there is one, which does not any more."""
        if self._idle_end is not None:
            self._idle_end.cancel()
        idle, self._idle = self._idle, None
        return idle if idle is not None and idle.running else None


def _check_descriptors() -> None:
    """OSError: there are too few for a process. uvloop would find that out half-way, and leave what it has opened."""
    opened: list[int] = []
    try:
        while len(opened) < DESCRIPTORS:
            opened.append(os.open(os.devnull, os.O_RDONLY))
    finally:
        for descriptor in opened:
            os.close(descriptor)


@asynccontextmanager
async def _yielding() -> AsyncIterator[None]:
    """Have the event loop that fills the core leave it now and then to what runs with the lowest priority.

    Such a process is stopped the moment the loop wants its core back, so that no request waits longer than the loop
    sleeps; but on a core that is never idle it would hardly ever run. A process of some small share and a higher
    priority would do without yielding, but the kernel hands out a core for milliseconds at a time, and requests would
    wait for those.
    """
    task = asyncio.get_running_loop().create_task(_yield_core())
    try:
        yield
    finally:
        task.cancel()


async def _yield_core() -> None:
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        time.sleep(YIELD_SECONDS)  # noqa: ASYNC251 - the loop itself is to sleep, not this task
