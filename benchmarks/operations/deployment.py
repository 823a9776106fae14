"""A server whose models can be changed, on one core, and what is done to it meanwhile."""

import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import psutil

from testing.messages import MODEL, NAME
from testing.processes import MIB, Server, free_port, running

SERVE = Path(sys.executable).with_name("thimble-serve")
ADMIN_KEY = "the-key-of-the-benchmarks"
RESULTS = Path(__file__).parent / "results"


class Deployment:
    """A running server and its repository of so many versions, each a file of its own with the demo's content."""

    def __init__(self, server: Server, has_workers: bool) -> None:
        self.server = server
        self._has_workers = has_workers
        self.address = server.address
        self._admin = httpx.Client(
            base_url=f"http://127.0.0.1:{server.address[1]}",
            headers={"Authorization": f"Bearer {ADMIN_KEY}"},
            timeout=600,
        )

    def release(self, **wanted: Any) -> float:
        """Serve this; returns how many seconds that took."""
        start = time.perf_counter()
        response = self._admin.put(f"/v1/models/{NAME}/release", json=wanted)
        if response.status_code != 200:
            raise RuntimeError(response.text)
        return time.perf_counter() - start

    def metrics(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples with these labels."""
        total = 0.0
        for line in self._admin.get("/metrics").text.splitlines():
            if line.startswith((name + "{", name + " ")) and all(f'{k}="{v}"' in line for k, v in labels.items()):
                total += float(line.rsplit(" ", 1)[1])
        return total

    def workers(self) -> list[psutil.Process]:
        """The worker processes, or the server itself where there are none."""
        root = psutil.Process(self.server.process.pid)
        if not self._has_workers:
            return [root]
        children = []
        for child in root.children():
            with suppress(psutil.NoSuchProcess):  # killed a moment ago
                if "thimble.service.releases.sandbox.process" not in child.cmdline():
                    children.append(child)
        return children

    def resources(self) -> dict[str, float]:
        """Resident MiB, file descriptors and threads of the serving processes together."""
        found = {"rss_mib": 0.0, "descriptors": 0, "threads": 0}
        for process in self.workers():
            with suppress(psutil.NoSuchProcess), process.oneshot():
                found["rss_mib"] += process.memory_info().rss / MIB
                found["descriptors"] += process.num_fds()
                found["threads"] += process.num_threads()
        return found


@contextmanager
def deployed(*flags: str, versions: int = 3) -> Iterator[Deployment]:
    """Version 1 of the demo, live, with others at hand."""
    with TemporaryDirectory() as folder:
        for version in range(1, versions + 1):
            shutil.copytree(MODEL.parent, Path(folder, NAME, str(version)))
        Path(folder, NAME, "release.json").write_text('{"live": 1}')
        port = free_port()
        command: list[str | Path] = [SERVE, folder, "--device", "cpu", "--no-access-log", "--port", str(port), *flags]
        env = {"THIMBLE_ADMIN_KEYS": ADMIN_KEY}
        with running(command, port, "/readyz", env) as server:
            yield Deployment(server, "--workers" in flags)


class Background(threading.Thread):
    """Does something over and over beside a load, until it is told to stop. What it returned is in `results`."""

    def __init__(self, work: Callable[[int], float], pause: float = 0) -> None:
        super().__init__(daemon=True)
        sys.setswitchinterval(1e-4)  # else it may keep the load from the interpreter for 5 ms at a time
        self.results: list[float] = []
        self._work = work
        self._pause = pause
        self._stopped = threading.Event()
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            while not self._stopped.wait(self._pause):
                self.results.append(self._work(len(self.results)))
        except BaseException as error:
            self._error = error

    def stop(self) -> list[float]:
        """Once what it is at is done."""
        self._stopped.set()
        self.join()
        if self._error is not None:
            raise self._error
        return self.results
