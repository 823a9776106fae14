"""A process apart that loads a version, so that nothing a file does there reaches the requests being answered.

    python -m service.apart TASK [SOCKET]

Its task is JSON, and what it found is a line of JSON on standard output. With the descriptor of a socket it goes on as
a shadow (`service.shadow`).
"""

import asyncio
import hashlib
import os
import signal
import socket
import sys
from asyncio.subprocess import Process
from contextlib import suppress
from pathlib import Path
from typing import Self

from pydantic import BaseModel

from models.spec import ModelSpec
from service.artifact import Artifact, ArtifactError, read_artifact
from service.comparison import follow
from service.engine import Device, Engine
from service.errors import StartupError
from service.native import find_native_ops
from service.settings import ADMIN_KEYS, API_KEYS

# Beside requests that use all of a core, what is so nice gets a tenth of it: it goes on, and slows them down little.
NICENESS = 10
# A model of 100 GB off a slow disk takes so long; a file that hangs ONNX Runtime must not block releases for ever.
PATIENCE_SECONDS = 600
MAX_VERDICT_BYTES = 1 << 28


class Task(BaseModel):
    """A file to verify, and how it would be run."""

    path: Path
    max_model_bytes: int
    device: Device
    threads: int
    batch_rows: int
    ops_library: Path | None

    def engine(self, artifact: Artifact) -> Engine:
        """The engine that would serve it. ArtifactError, StartupError."""
        return Engine(artifact, self.device, self.threads, find_native_ops(self.ops_library), self.batch_rows)


class Verdict(BaseModel):
    """What a process apart found: the digest and the spec of a good file, or why it is refused."""

    sha256: str = ""
    spec: ModelSpec | None = None
    refused: str | None = None

    @classmethod
    def of(cls, artifact: Artifact) -> Self:
        """That of a good file."""
        return cls(sha256=_digest(artifact.content), spec=artifact.spec)

    def artifact(self, path: Path) -> Artifact:
        """The file that was verified, read again. ArtifactError: it is another one by now, or gone."""
        assert self.spec is not None
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ArtifactError(f"{path}: {error.strerror}") from None
        if _digest(content) != self.sha256:
            raise ArtifactError(f"{path}: changed while it was being loaded")
        return Artifact(path, content, self.spec)


async def start(task: Task, *sockets: socket.socket) -> tuple[Process, Verdict]:
    """A process apart that found a file good, and goes on if it was given a socket.

    ArtifactError: why the file is refused, be it that the process did not survive it.
    """
    pipe, nothing, descriptors = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL, [it.fileno() for it in sockets]
    command = (sys.executable, "-m", "service.apart", task.model_dump_json(), *map(str, descriptors))
    env = {name: value for name, value in os.environ.items() if name not in (API_KEYS, ADMIN_KEYS)}
    process = await asyncio.create_subprocess_exec(
        *command, stdin=nothing, stdout=pipe, pass_fds=descriptors, env=env, limit=MAX_VERDICT_BYTES
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            line = await process.stdout.readline()
            if not line.endswith(b"\n"):
                raise ArtifactError(f"{task.path}: the process that loaded it {manner(await process.wait())}")
        verdict = Verdict.model_validate_json(line)
        if verdict.refused is not None:
            raise ArtifactError(verdict.refused)
    except BaseException as error:
        end(process)
        if isinstance(error, TimeoutError):
            raise ArtifactError(f"{task.path}: could not be loaded within {PATIENCE_SECONDS} s") from None
        raise
    return process, verdict


async def verified(task: Task) -> Verdict:
    """Have a file verified. ArtifactError: why it is refused."""
    process, verdict = await start(task)
    await process.wait()
    return verdict


def end(process: Process) -> None:
    """Kill a process if it still runs."""
    with suppress(ProcessLookupError):
        process.kill()


def manner(status: int) -> str:
    """How a process ended."""
    return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def main() -> None:
    """Verify, say what was found, and go on as a shadow if there is a socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the server ends this one
    os.nice(NICENESS)
    _be_the_first_to_die()
    task = Task.model_validate_json(sys.argv[1])
    try:
        artifact = read_artifact(task.path, task.max_model_bytes)
        engine = task.engine(artifact)
        verdict = Verdict.of(artifact)
    except (ArtifactError, StartupError) as error:
        verdict = Verdict(refused=str(error))
    print(verdict.model_dump_json(), flush=True)
    if len(sys.argv) > 2 and verdict.refused is None:
        follow(engine, socket.socket(fileno=int(sys.argv[2])))


def _be_the_first_to_die() -> None:
    """Should memory run out, let it be this process that is killed and not the server."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    main()
