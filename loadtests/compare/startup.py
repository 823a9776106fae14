"""From the start of a process to its answers."""

import http.client
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

from thimble.loadtests.compare.deployments import DeploymentError, Server
from thimble.loadtests.results.comparison import FIRST_ROWS, Startup
from thimble.loadtests.traffic.answers import problem
from thimble.loadtests.traffic.requests import Prepared
from thimble.loadtests.traffic.served import Served

ANSWER_SECONDS = 90


def first_answers(
    server: Server, served: Served, requests: Sequence[Prepared], *, cold: bool, cached: float
) -> Startup:
    """Wait until a server is ready and put the first questions to it. DeploymentError: it gives no right answer."""
    ready = server.wait_until("/readyz")
    first = 0.0
    with connection(server.url) as connected:
        done = 0
        for request in requests:
            ask(connected, request, served)
            first = first or time.perf_counter() - server.started
            done += request.rows
            if done >= FIRST_ROWS:
                break
    return Startup(cold=cold, cached=cached, ready=ready, first=first, rows=time.perf_counter() - server.started)


def ask_all(server: Server, served: Served, requests: Sequence[Prepared]) -> int:
    """Every request once. Returns how many rows those are. DeploymentError as above."""
    with connection(server.url) as connected:
        for request in requests:
            ask(connected, request, served)
    return sum(request.rows for request in requests)


@contextmanager
def connection(url: str) -> Iterator[http.client.HTTPConnection]:
    connected = http.client.HTTPConnection(urlsplit(url).netloc, timeout=ANSWER_SECONDS)
    try:
        yield connected
    finally:
        connected.close()


def ask(connected: http.client.HTTPConnection, request: Prepared, served: Served) -> None:
    """DeploymentError: the answer is none, or wrong."""
    try:
        connected.request("POST", request.path, request.body, request.headers)
        response = connected.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise DeploymentError(f"no answer: {error or type(error).__name__}") from None
    if response.status != 200:
        raise DeploymentError(f"a request was answered with {response.status}: {body[:200].decode(errors='replace')}")
    if wrong := problem(request, body, served.tolerance):
        raise DeploymentError(f"a request was answered with {wrong}")
