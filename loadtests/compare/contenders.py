"""What is compared: a server that runs elsewhere, or a model version that servers are started for."""

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from thimble.loadtests.compare import pagecache, processes, swap
from thimble.loadtests.compare.deployments import DeploymentError, Server, VersionFolder, serving, staged
from thimble.loadtests.compare.startup import first_answers
from thimble.loadtests.results.comparison import Name, ProcessMemory, Side, Startup, Swap
from thimble.loadtests.traffic.requests import Prepared, Traffic, prepare
from thimble.loadtests.traffic.served import Served, served

SPARE_BYTES = 1_000_000_000


class Contender:
    """Either deployment. `requests` are what it is asked, the same for both but for the model's name in them."""

    url: str
    """Where it answers, while it does."""
    described: Served
    requests: Sequence[Prepared]

    def __init__(self, name: Name) -> None:
        self.name = name

    def describe(self, traffic: Traffic) -> dict[str, object]:
        """Ask what it serves and prepare the requests, while it answers. Returns all that it says of the model."""
        self.described, entry = served(self.url, traffic.model)
        self.requests = prepare(traffic, self.described)
        return entry


class Remote(Contender):
    """A server that runs already."""

    def __init__(self, name: Name, url: str) -> None:
        super().__init__(name)
        self.url = url.rstrip("/")


class Local(Contender):
    """A version in a repository of its own, with a second version that is not in there yet."""

    def __init__(self, name: Name, version: VersionFolder, folder: Path) -> None:
        """DeploymentError: `folder` has too little room for the second version."""
        super().__init__(name)
        check_room(folder, version.size)
        self.version = staged(version, folder / f"repository-{name}")
        self._folder = folder
        self._second = folder / f"second-{name}"
        self._copied = swap.copy(self.version, self._second)

    def side(self, label: str, source: str) -> Side:
        files = {path.name: path.stat().st_size for path in self.version.files}
        return Side(label=label, source=source, size=self.version.size, files=files)

    @contextmanager
    def launched(self) -> Iterator[Server]:
        """A server that is not waited for."""
        log = self._folder / f"{self.name}-{time.monotonic_ns()}.log"
        with serving(self.version.folder.parents[1], log) as server:
            self.url = server.url
            yield server

    @contextmanager
    def ready(self) -> Iterator[Server]:
        """A server that is ready."""
        with self.launched() as server:
            server.wait_until("/readyz")
            yield server

    @contextmanager
    def timed_start(self, *, cold: bool) -> Iterator[tuple[Server, Startup]]:
        """A server that has answered its first requests, off a cold disk or with its files in memory."""
        files = self.version.files
        cached = (pagecache.evict if cold else pagecache.warm)(files) / self.version.size
        with self.launched() as server:
            requests = self.requests[1:]  # the first is the known row alone
            yield server, first_answers(server, self.described, requests, cold=cold, cached=cached)

    def memory(self, servers: Sequence[Server]) -> ProcessMemory:
        """Of all of them together."""
        found = processes.memory([server.pid for server in servers], self.version.files)
        found.cached = pagecache.resident(self.version.files)
        return found

    def swap(self, server: Server) -> Swap:
        """A second version arrives and is made the live one; at the end the repository is as it was."""
        model, folder = self.version.model, self.version.folder.parent
        pushed = swap.push(server, VersionFolder(self._second, model), 3)
        self._second.rename(folder / "2")
        released = swap.release(server, model, 2)
        (folder / "2").rename(self._second)
        shutil.rmtree(folder / "3", ignore_errors=True)
        (folder / "release.json").unlink(missing_ok=True)
        return Swap(copied=self._copied, pushed=pushed, released=released)


def check_room(folder: Path, needed: int) -> None:
    """DeploymentError: the disk has not so many bytes to spare."""
    free = shutil.disk_usage(folder).free
    if free < needed + SPARE_BYTES:
        raise DeploymentError(f"{folder} needs {needed / 1e9:.1f} GB of disk, of which {free / 1e9:.1f} are free")
