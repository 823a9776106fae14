"""The harness against a server whose delays are known."""

import csv
import textwrap
from pathlib import Path

import pytest

from tests.loadtests.conftest import Stub, locust
from thimble.loadtests.measure import run
from thimble.loadtests.traffic.requests import Traffic

DELAY_MS = 100
STALL_MS = 200
OPTIONS = ("--delay-ms", str(DELAY_MS), "--stall-ms", str(STALL_MS))
PERCENTILES = (50, 90, 95, 99)
TOLERANCE = 0.05
RATE, SECONDS = 200, 4
TRIES = 5  # other work on the machine may delay everything; it cannot make a wrong harness right

CLOSED_LOOP = """
    from locust import FastHttpUser, task

    class Plain(FastHttpUser):
        @task
        def score(self):
            self.client.post("/v1/score", data="{}")
"""


def truth(q: float) -> float:
    """Milliseconds. Requests fall due evenly: a fifth would be answered in a stall, and waits for its end besides."""
    unstalled = 1 - STALL_MS / 1000
    within = max(q / 100 - unstalled, 0) / (1 - unstalled)
    return DELAY_MS + STALL_MS * within


def test_percentiles_are_the_servers(stub: Stub) -> None:
    with stub(*OPTIONS) as url:
        for _ in range(TRIES):
            found = run(url, Traffic(), "constant", [RATE], SECONDS, pacing="even")
            assert found.complete, found.reason
            (step,) = found.steps
            assert step.ok == step.due == RATE * SECONDS
            off = {q: step.histogram.percentile(q) / truth(q) - 1 for q in PERCENTILES}
            if max(map(abs, off.values())) <= TOLERANCE:
                return
    pytest.fail(f"shares off the truth, by percentile: {off}")


def test_locusts_own_percentiles_are_not(stub: Stub, tmp_path: Path) -> None:
    """Its users wait for their answers, so each sends one request into a stall and none while it lasts."""
    file = tmp_path / "plain.py"
    file.write_text(textwrap.dedent(CLOSED_LOOP))
    options = ("--headless", "-u", "10", "-r", "10", "-t", "3s", "--csv", tmp_path / "plain")
    with stub(*OPTIONS) as url, locust("--host", url, *options, file=file) as process:
        process.communicate(timeout=60)
    with (tmp_path / "plain_stats.csv").open() as lines:
        row = next(row for row in csv.DictReader(lines) if row["Name"] == "Aggregated")
    assert int(row["Failure Count"]) == 0
    wrong = [q for q in PERCENTILES if abs(float(row[f"{q}%"]) / truth(q) - 1) > TOLERANCE]
    assert 90 in wrong
