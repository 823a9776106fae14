"""What somebody on call does to a server, and sees of it."""

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import psutil

from testing.conditions import until
from testing.servers import Server, running
from thimble.service.releases.registry import Registry

ADMIN = "the-key-of-those-on-call"
KEY = {"Authorization": f"Bearer {ADMIN}"}
ENV = {"THIMBLE_ADMIN_KEYS": ADMIN}
SPOILED_ABOVE = 1000.0


def bring(repository: Path, versions: Path, *numbers: int) -> None:
    for number in numbers:
        shutil.copytree(versions / str(number), repository / f"m/{number}")


@contextmanager
def serving(repository: Path, *flags: str, cwd: Path | None = None) -> Iterator[tuple[Server, httpx.Client]]:
    with (
        running(repository, *flags, env=ENV, cwd=cwd) as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
    ):
        yield server, client


def put(client: httpx.Client, **release: Any) -> httpx.Response:
    return client.put("/v1/models/m/release", json=release, headers=KEY)


def state(client: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/v1/models/m/release", headers=KEY).json()
    return found


def score(client: httpx.Client, first: float = 1.0, path: str = "/v1/score", key: str | None = None) -> httpx.Response:
    headers = {} if key is None else {"Routing-Key": key}
    return client.post(path, json={"features": {"d0": first}}, headers=headers)


class Crowd:
    """Clients of several addresses, who send rows that no version 4 has a score for."""

    def __init__(self, clients: list[httpx.Client]) -> None:
        self.clients = clients
        self._numbers = count(int(2 * SPOILED_ABOVE))

    def offend(self, path: str = "/v1/score") -> list[httpx.Response]:
        """One such row of each client, and none a second time."""
        return [score(client, next(self._numbers), path) for client in self.clients]


@contextmanager
def crowd(server: Server, clients: int = 3) -> Iterator[Crowd]:
    with ExitStack() as stack:
        transports = [httpx.HTTPTransport(local_address=f"127.0.0.{number + 2}") for number in range(clients)]
        yield Crowd(
            [
                stack.enter_context(httpx.Client(base_url=server.url, timeout=60, transport=transport))
                for transport in transports
            ]
        )


def answers(client: httpx.Client) -> int:
    """The version that answers."""
    response = score(client)
    assert response.status_code == 200, response.text
    version: int = response.json()["version"]
    return version


def everywhere(server: Server) -> set[int]:
    """What each of two workers answers with: each connection goes to the other."""
    found = set()
    for _ in range(4):
        with httpx.Client(base_url=server.url, timeout=60) as client:
            found.add(answers(client))
    return found


def metric(client: httpx.Client, name: str, **labels: str) -> float:
    """The sum of a metric's samples that have these labels."""
    total = 0.0
    for line in client.get("/metrics").text.splitlines():
        if line.startswith(name + "{") and all(f'{key}="{value}"' in line for key, value in labels.items()):
            total += float(line.rsplit(" ", 1)[1])
    return total


def children(server: Server) -> list[psutil.Process]:
    """Sandbox processes."""
    return sandboxes(psutil.Process(server.process.pid))


def sandboxes(parent: psutil.Process) -> list[psutil.Process]:
    """Those of a process and of its workers."""
    found = []
    for process in parent.children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # a zombie, or gone by now
            if "thimble.service.releases.sandbox.process" in process.cmdline():
                found.append(process)
    return found


def end_sandbox(server: Server) -> None:
    """End the process that waits for another file to verify."""
    for process in children(server):
        process.kill()
    until(lambda: not children(server))


async def close(registry: Registry) -> None:
    """Close it, and leave the event loop only once that has heard of the end of its processes."""
    ours = {process.pid for process in psutil.Process().children()} & {it.pid for it in sandboxes(psutil.Process())}
    registry.close()
    await asyncio.to_thread(until, lambda: ours.isdisjoint(process.pid for process in psutil.Process().children()))
    await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)
