"""Server processes: pinned to a core, awaited until ready, weighed and stopped."""

import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

SERVER_CORE, CLIENT_CORE = 0, 1
START_SECONDS, STOP_SECONDS = 120, 15
MIB = 1 << 20


def pin_client() -> None:
    """Keep this process off the core of the servers."""
    os.sched_setaffinity(0, {CLIENT_CORE})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class Memory:
    """Of a process and all its descendants, MiB. `rss` counts shared pages once for each process, `uss` never."""

    rss: float
    uss: float
    processes: int


class Server:
    """A running server and its descendants, all pinned to one core. Its output is in `log`."""

    def __init__(self, command: Sequence[str | Path], port: int, env: Mapping[str, str], core: int) -> None:
        self.address = ("127.0.0.1", port)
        self.log = Path(tempfile.mkstemp(suffix=".log")[1])
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                ["taskset", "-c", str(core), *map(str, command)],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **env},
                start_new_session=True,
            )

    def wait_until_ready(self, path: str, seconds: float = START_SECONDS) -> None:
        """Until GET `path` answers 200. RuntimeError with its last lines when it ends or takes longer."""
        url = f"http://{self.address[0]}:{self.address[1]}{path}"
        until = time.monotonic() + seconds
        while time.monotonic() < until and self.process.poll() is None:
            with suppress(OSError, urllib.error.URLError), urllib.request.urlopen(url, timeout=5) as response:
                if response.status == 200:
                    return
            time.sleep(0.1)
        raise RuntimeError(f"not ready at {url}:\n{self.tail()}")

    def tail(self, lines: int = 20) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def memory(self) -> Memory:
        rss = uss = processes = 0
        for process in self._tree():
            with suppress(psutil.NoSuchProcess):
                info = process.memory_full_info()
                rss, uss, processes = rss + info.rss, uss + info.uss, processes + 1
        return Memory(rss / MIB, uss / MIB, processes)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL to whatever of the tree is left after STOP_SECONDS."""
        tree = self._tree()
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_SECONDS)
        left = psutil.wait_procs(tree, timeout=1)[1]
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=STOP_SECONDS)
        self.log.unlink()

    def _tree(self) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            root = psutil.Process(self.process.pid)
            return [root, *root.children(recursive=True)]
        return []


@contextmanager
def running(
    command: Sequence[str | Path],
    port: int,
    ready: str,
    env: Mapping[str, str] | None = None,
    core: int = SERVER_CORE,
) -> Iterator[Server]:
    """A server that answers 200 at `ready`, stopped at the end."""
    server = Server(command, port, env or {}, core)
    try:
        server.wait_until_ready(ready)
        yield server
    finally:
        server.stop()
