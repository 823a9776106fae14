import subprocess
import sys

import pytest

from testing.processes import free_port
from testing.servers import Server
from tests.loadtests.conftest import Stub
from thimble.loadtests.measure import MeasureError, ceiling, find_knee, measure, measure_rates, run
from thimble.loadtests.traffic.requests import Traffic


def test_a_real_server_answers_right_at_each_rate(server: Server) -> None:
    steps = measure_rates(server.url, Traffic(scenario="batch", encoding="binary", rows=4), [80, 160], 0.5)
    assert [(step.offered, step.due, step.ok) for step in steps] == [(80, 40, 40), (160, 80, 80)]
    assert [step.ok_rows for step in steps] == [160, 320]
    for step in steps:
        assert step.histogram.count == step.ok
        assert step.latency is not None
        assert 0 < step.latency.p50 <= step.latency.p99 <= step.latency.max


def test_what_is_refused_or_wrong_is_counted_apart(stub: Stub) -> None:
    answers = ["right", "full", "draining", "late", "broken", "two", "above", "garbage", "wrong", "right"]
    with stub("--cycle", ",".join(answers)) as url:
        found = run(url, Traffic(), "constant", [len(answers) * 20], 1, max_error_share=0.5)
    (step,) = found.steps
    assert found.complete
    assert step.due == 200
    assert step.rejected == {"429": 20, "503": 20, "504": 20}
    wrong = step.failed.pop("another score than the known row's", 0)  # where it was one's turn
    assert 0 <= wrong <= 4
    assert step.failed == {
        "status 500": 20,
        "not one score a row": 20,
        "a score outside 0 to 1": 20,
        "no scores in the answer": 20,
    }
    assert step.ok == 60 - wrong
    assert not found.gates[0].passed


def test_the_knee_is_found_and_reported(stub: Stub) -> None:
    """One connection and 5 ms an answer: 200 a second are as many as there can be."""
    with stub("--delay-ms", "5") as url:
        found = find_knee(url, Traffic(), 100, start=160, seconds=0.3, connections=1)
    assert found.knee is not None
    assert 80 <= found.knee <= 320
    assert found.passed
    assert len(found.steps) > 4


def test_what_cannot_begin_says_why(server: Server) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(MeasureError, match=f"no server answers at {nowhere}: .*refused"):
        measure(nowhere, Traffic(), 10, 1)
    with pytest.raises(MeasureError, match="serves no model other"):
        measure(server.url, Traffic(model="other"), 10, 1)
    with pytest.raises(MeasureError, match=f"no server answers at {nowhere}"):
        ceiling(nowhere, Traffic())


def test_gevent_stays_out_of_the_calling_process() -> None:
    code = "import sys; from thimble.loadtests import cli, measure, stub; sys.exit('gevent' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
