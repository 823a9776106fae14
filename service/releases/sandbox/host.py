"""Has files verified by a process apart (`sandbox.process`), to which the event loop leaves some time meanwhile."""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import Process
from contextlib import suppress
from typing import Self

from thimble.service.engine.artifact import ArtifactError
from thimble.service.releases.sandbox.process import Task, Verdict
from thimble.service.releases.sandbox.yielding import yielding
from thimble.service.settings import ADMIN_KEYS, API_KEYS

# A model of 100 GB off a slow disk takes so long; a file that hangs ONNX Runtime must not block releases for ever.
PATIENCE_SECONDS = 600
# How long a process stays for another file. Its imports take ten times as long as a model of 10 MB.
STAY_SECONDS = 10
MAX_VERDICT_BYTES = 1 << 28


class EndedError(ArtifactError):
    """The process did not survive a file."""


class Sandbox:
    """A process apart, from the server's side."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, *sockets: socket.socket) -> Self:
        """Start one, to be a shadow if it is given a socket."""
        pipe, descriptors = asyncio.subprocess.PIPE, [it.fileno() for it in sockets]
        command = (sys.executable, "-m", "thimble.service.releases.sandbox.process", *map(str, descriptors))
        env = {name: value for name, value in os.environ.items() if name not in (API_KEYS, ADMIN_KEYS)}
        process = await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, pass_fds=descriptors, env=env, limit=MAX_VERDICT_BYTES
        )
        return cls(process)

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    async def verdict(self, task: Task) -> Verdict:
        """Have a file verified. ArtifactError: why it is refused, after which the process may have ended."""
        tasks, verdicts = self._process.stdin, self._process.stdout
        assert tasks is not None and verdicts is not None
        try:
            async with asyncio.timeout(PATIENCE_SECONDS), yielding():
                with suppress(RuntimeError, OSError):  # it may have ended already: reading tells
                    tasks.write(f"{task.model_dump_json()}\n".encode())
                line = await verdicts.readline()
                if not line.endswith(b"\n"):
                    raise EndedError(f"{task.path}: the process that loaded it {await self.manner()}")
        except BaseException as error:
            self.end()
            if isinstance(error, TimeoutError):
                raise ArtifactError(f"{task.path}: could not be loaded within {PATIENCE_SECONDS} s") from None
            raise
        verdict = Verdict.model_validate_json(line)
        if verdict.refused is not None:
            raise ArtifactError(verdict.refused)
        return verdict

    async def manner(self) -> str:
        """How it ended, when it has."""
        status = await self._process.wait()
        return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"

    def end(self) -> None:
        """Kill it if it still runs."""
        with suppress(ProcessLookupError):
            self._process.kill()


class Verifier:
    """Has files verified, one at a time, in a process apart that stays for a while."""

    def __init__(self) -> None:
        self._apart: Sandbox | None = None
        self._leaving: asyncio.TimerHandle | None = None

    async def verify(self, task: Task) -> Verdict:
        """Have a file verified. ArtifactError: why it is refused, be it that the process did not survive it."""
        if self._leaving is not None:
            self._leaving.cancel()
        try:
            if self._apart is not None and self._apart.running:
                with suppress(EndedError):  # perhaps by what an earlier file did to it
                    return await self._apart.verdict(task)
            self._apart = await Sandbox.start()
            return await self._apart.verdict(task)
        finally:
            self._leaving = asyncio.get_running_loop().call_later(STAY_SECONDS, self.end)

    def end(self) -> None:
        """End the process if there is one."""
        if self._leaving is not None:
            self._leaving.cancel()
        if self._apart is not None:
            self._apart.end()
