"""Faults for a server under load: each is brought about for real, lasts a few seconds, and is mended again.

What injects a fault returns what was seen of it, for the results.
"""

import resource
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import orjson
import psutil

from benchmarks.operations.deployment import ADMIN_KEY
from testing.messages import NAME
from testing.processes import Server

SANDBOX = "thimble.service.releases.sandbox.process"
LASTS_SECONDS = 2.0
CALL_SECONDS = 10.0
# Their answers fill what lies between a server and a client that takes none.
SLOW_REQUESTS = 200
# A row whose first number is larger is poison, as none of the load's is; and the broken version gives no score for one
# with more than the golden rows have, as some of the load's do.
POISON_ABOVE, NO_SCORE_ABOVE = 1e30, 11
LIVE, PREVIOUS, BROKEN = 2, 1, 9
Seen = dict[str, Any]


class Target:
    """A server with workers, the folder of its models, and the file that says how far its clock is off."""

    def __init__(self, server: Server, repository: Path, clock: Path) -> None:
        self.address = server.address
        self.root = psutil.Process(server.process.pid)
        self.repository = repository
        self.clock = clock

    def workers(self) -> list[psutil.Process]:
        """Those that serve, the oldest first."""
        found = []
        for child in self.root.children():
            with suppress(psutil.NoSuchProcess):
                if SANDBOX not in child.cmdline():
                    found.append(child)
        return sorted(found, key=lambda it: it.pid)

    def sandboxes(self) -> list[psutil.Process]:
        found = []
        for child in self.root.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if SANDBOX in child.cmdline():
                    found.append(child)
        return found

    def release(self, **wanted: Any) -> int:
        """The status of the answer, as of those below."""
        return self.status("PUT", f"/v1/models/{NAME}/release", wanted)

    def roll_back(self) -> int:
        return self.status("POST", f"/v1/models/{NAME}/rollback")

    def score(self, first_number: float, address: str = "127.0.0.1") -> int:
        """The status of the answer to a row, sent from an address."""
        return self.status("POST", "/v1/score", {"features": {"I1": first_number}}, address)

    def status(self, method: str, path: str, body: Any = None, address: str = "127.0.0.1") -> int:
        """Of the answer to a call on a connection of its own; 0: there was none in time.

        By `http.client`, as to open a client of httpx keeps the interpreter from the load for tens of milliseconds.
        """
        headers = {"Authorization": f"Bearer {ADMIN_KEY}", "Content-Type": "application/json"}
        connection = HTTPConnection(*self.address, timeout=CALL_SECONDS, source_address=(address, 0))
        try:
            connection.request(method, path, None if body is None else orjson.dumps(body), headers)
            return connection.getresponse().status
        except (OSError, HTTPException):
            return 0
        finally:
            connection.close()

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=5)


def stop_a_worker(target: Target) -> Seen:
    """SIGSTOP: it is there and does nothing."""
    victim = target.workers()[0]
    victim.send_signal(signal.SIGSTOP)
    return {"killed_after_s": _seconds_until(lambda: not victim.is_running())}


def kill_a_worker(target: Target) -> Seen:
    """SIGKILL."""
    victim = target.workers()[-1]
    victim.kill()
    return {"gone_after_s": _seconds_until(lambda: not victim.is_running())}


def exhaust_descriptors(target: Target) -> Seen:
    """A worker may open no more files (EMFILE) while connections and a release come."""
    victim = target.workers()[0]
    limit = victim.rlimit(psutil.RLIMIT_NOFILE)
    victim.rlimit(psutil.RLIMIT_NOFILE, (victim.num_fds(), limit[1]))
    try:
        with ExitStack() as stack:
            for _ in range(16):
                with suppress(OSError):
                    stack.enter_context(target.connect())
            status = target.release(live=LIVE, canary={"version": 3, "weight": 0.1})
            time.sleep(LASTS_SECONDS)
    finally:
        with suppress(psutil.NoSuchProcess):
            victim.rlimit(psutil.RLIMIT_NOFILE, limit)
    return {"release": status, "restored": target.release(live=LIVE)}


def fill_the_disk(target: Target) -> Seen:
    """Nothing can be written where the models lie, while a release and a way back are asked for."""
    filler = target.repository / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1 << 16))
    try:
        seen = {"release": target.release(live=3), "way_back": target.roll_back()}
    finally:
        filler.unlink()
    return {**seen, "restored": target.release(live=LIVE)}


def hang_a_verification(target: Target) -> Seen:
    """The process that tries a new version stops, while another change of the model is asked for."""
    version = target.repository / NAME / "7"
    shutil.copytree(target.repository / NAME / "3", version)
    asked: list[int] = []
    change = threading.Thread(target=lambda: asked.append(target.release(live=7)))
    change.start()
    held = None
    try:
        _seconds_until(lambda: bool(target.sandboxes()) or not change.is_alive())
        for held in target.sandboxes():
            with suppress(psutil.NoSuchProcess):
                held.suspend()
        start = time.perf_counter()
        status = target.roll_back()
        seconds = time.perf_counter() - start
        change.join()
    finally:
        for sandbox in target.sandboxes():
            with suppress(psutil.NoSuchProcess):
                sandbox.kill()
        shutil.rmtree(version)
    return {"release": asked, "way_back": status, "way_back_s": seconds, "restored": target.release(live=LIVE)}


def send_poison(target: Target) -> Seen:
    """Rows on which the model raises, one after the other."""
    return {"statuses": sorted({target.score(2 * POISON_ABOVE) for _ in range(50)})}


def send_huge_bodies(target: Target) -> Seen:
    """16 MiB of JSON that would be hundreds in memory, four at a time."""
    body = b'{"features":{"I1":[' + b"{}," * ((16 << 20) // 3 - 10) + b"{}]}}"
    request = b"POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    statuses: list[int] = []

    def send() -> None:
        with suppress(OSError), target.connect() as client:  # refused at its headers, and the connection closed
            client.sendall(request)
            client.sendall(body)
            statuses.append(int(client.recv(100)[9:12] or 0))

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"statuses": sorted({*statuses})}


def read_slowly(target: Target) -> Seen:
    """Clients that ask and ask, and take no answers."""
    request = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
    sent = 0
    with ExitStack() as stack:
        clients = [stack.enter_context(target.connect()) for _ in range(8)]
        for client in clients:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(0.05)
            with suppress(OSError):
                for _ in range(SLOW_REQUESTS):
                    client.sendall(request)
                    sent += 1
        time.sleep(LASTS_SECONDS)
    return {"requests": sent}


def step_the_clock(target: Target) -> Seen:
    """The wall clock goes an hour forth, then two back, then is right again."""
    for hours in (1, -1, 0):
        write_offset(target.clock, 3600 * hours)
        time.sleep(LASTS_SECONDS / 2)
    return {"ready": target.status("GET", "/readyz")}


def break_the_canary(target: Target) -> Seen:
    """A version whose scores are none gets half of the requests, of several clients."""
    status = target.release(live=LIVE, canary={"version": BROKEN, "weight": 0.5})
    for number in range(250):
        target.score(NO_SCORE_ABOVE + 1 + number, f"127.0.0.{2 + number % 5}")
    taken_out = _seconds_until(lambda: '"taken_out":[9]' in (target.repository / NAME / "release.json").read_text())
    return {"release": status, "taken_out_after_s": taken_out, "restored": target.release(live=LIVE)}


FAULTS: list[Callable[[Target], Seen]] = [
    stop_a_worker,
    kill_a_worker,
    exhaust_descriptors,
    fill_the_disk,
    hang_a_verification,
    send_poison,
    send_huge_bodies,
    read_slowly,
    step_the_clock,
    break_the_canary,
]


def write_offset(clock: Path, seconds: int) -> None:
    """Have a clock that `preloaded` moves be off by so many seconds from now on."""
    with clock.open("r+b" if clock.exists() else "wb") as file:
        file.write(struct.pack("q", seconds))


def preloaded(clock: Path) -> dict[str, str]:
    """The environment of a process whose wall clock a file moves. CalledProcessError: there is no C compiler."""
    library = clock.with_suffix(".so")
    source = Path(__file__).with_name("clock_step.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, source], check=True)
    write_offset(clock, 0)
    return {"LD_PRELOAD": str(library), "CLOCK_STEP_FILE": str(clock)}


@contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[Path]:
    """A file system of its own, which only root may make. CalledProcessError."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "none", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def allow_many_files() -> None:
    """For the client's connections."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _seconds_until(condition: Callable[[], bool], most: float = 4.0) -> float:
    """Seconds until something held, or the most that are waited."""
    start = time.perf_counter()
    while not condition() and time.perf_counter() - start < most:
        time.sleep(0.01)
    return round(time.perf_counter() - start, 3)
