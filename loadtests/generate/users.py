"""Locust users. Each is a connection: it takes a request when one is due, and waits for the answer."""

import contextlib
from time import perf_counter
from typing import Any

from gevent import Timeout
from locust import FastHttpUser, task

from thimble.loadtests.generate.generator import Arrival, Generator
from thimble.loadtests.traffic.answers import REJECTIONS, problem
from thimble.loadtests.traffic.served import MODELS, authorization

EVERY_STATUS = frozenset(range(1000))


class Scorer(FastHttpUser):
    """Sends what falls due, checks every answer and counts its latency from when it was due."""

    generator: Generator
    tolerance: float
    label: str
    max_redirects = 0

    def on_start(self) -> None:
        agent: Any = self.client.client
        agent.cookiejar = None
        agent.valid_response_codes = EVERY_STATUS  # else each refusal costs a transcript, body and all
        with contextlib.suppress(OSError, Timeout, ConnectionError):  # the requests will tell
            agent.urlopen(f"{self.host}{MODELS}", headers=authorization()).content  # noqa: B018 - connects beforehand

    @task
    def score(self) -> None:
        while True:
            arrival = self.generator.take()
            request = arrival.request
            body: Any = request.body  # bytes are as good as the text that Locust's types ask for
            with self.client.post(
                request.path, data=body, headers=request.headers, name=self.label, catch_response=True
            ) as response:
                self._record(arrival, response)

    def _record(self, arrival: Arrival, response: Any) -> None:
        ms = (perf_counter() - arrival.due) * 1e3
        response.request_meta["response_time"] = ms  # Locust's own pages then count from when it was due too
        status = response.status_code
        if status in REJECTIONS:
            response.request_meta["name"] = f"{self.label}, refused with {status}"
            response.success()
            self.generator.rejected(arrival, status)
            return
        error = response.request_meta["exception"]
        if error is not None:
            reason: str | None = f"no answer: {_cause(error)}"
        elif status != 200:
            reason = f"status {status}"
        else:
            reason = problem(arrival.request, response.content, self.tolerance)
        if reason is None:
            response.success()
            self.generator.answered(arrival, ms)
        else:
            response.failure(reason)
            self.generator.failed(arrival, reason)


def _cause(error: BaseException) -> str:
    """A few words for an error of the connection."""
    cause = getattr(error, "original", error)  # geventhttpclient wraps what it gave up on
    if isinstance(cause, TimeoutError | Timeout):
        return "timed out"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror.lower()
    return str(cause) or type(cause).__name__
