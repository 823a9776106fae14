"""A process apart that loads versions, so that nothing a file does there reaches the requests being answered.

    python -m thimble.service.releases.sandbox.process [SOCKET]

It reads tasks, a line of JSON each, and answers each with a line of JSON that says what it found. With the descriptor
of a socket it goes on as a shadow (`shadow.host`) once a file was found good. It runs when nobody else wants the
core.
"""

import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Self

import xxhash
from pydantic import BaseModel

from thimble.models.spec import ModelSpec
from thimble.ops.library import find_native_ops
from thimble.service.engine.artifact import Artifact, ArtifactError, read_artifact, read_content
from thimble.service.engine.engine import Device, Engine
from thimble.service.errors import StartupError
from thimble.service.releases.shadow.messages import follow


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

    digest: str = ""
    spec: ModelSpec | None = None
    refused: str | None = None

    @classmethod
    def of(cls, artifact: Artifact) -> Self:
        """That of a good file."""
        return cls(digest=_digest(artifact.content), spec=artifact.spec)

    def artifact(self, task: Task) -> Artifact:
        """The file that was verified, read again. ArtifactError: it is another one by now, or gone."""
        assert self.spec is not None
        content = read_content(task.path, task.max_model_bytes)
        if _digest(content) != self.digest:
            raise ArtifactError(f"{task.path}: changed while it was being loaded")
        return Artifact(task.path, content, self.spec)


def main() -> None:
    """Verify and say what was found, as often as asked, and go on as a shadow if there is a socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the server ends this one
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    _be_the_first_to_die()
    for line in sys.stdin:
        task = Task.model_validate_json(line)
        engine = None
        try:
            artifact = read_artifact(task.path, task.max_model_bytes)
            engine = task.engine(artifact)
            verdict = Verdict.of(artifact)
            del artifact
        except (ArtifactError, StartupError) as error:
            verdict = Verdict(refused=str(error))
        print(verdict.model_dump_json(), flush=True)
        if len(sys.argv) > 1 and engine is not None:
            follow(engine, socket.socket(fileno=int(sys.argv[1])))
            return
        del engine


def _be_the_first_to_die() -> None:
    """Should memory run out, let it be this process that is killed and not the server."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _digest(content: bytes) -> str:
    """It tells one version from another written meanwhile, which needs no cryptography."""
    return xxhash.xxh3_128_hexdigest(content)


if __name__ == "__main__":
    main()
