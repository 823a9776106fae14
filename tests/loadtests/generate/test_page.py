"""Locust's page in a real browser: its form as it is, with each option set, and with values that are none."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from subprocess import Popen

import pytest

from testing.browser import Page, page
from testing.conditions import until
from testing.processes import free_port
from testing.servers import Server
from tests.loadtests.conftest import locust
from thimble.loadtests.results.run import Run

FIELDS = "Object.fromEntries([...document.querySelectorAll('form [name]')].map(it => [it.name, it.value]))"
ASKED = "performance.getEntriesByType('resource').filter(it => it.name.endsWith('/stats/requests')).length"
STATUS = "document.body.innerText.match(/Status\\s+([A-Z]+)/)?.[1]"


class Form:
    """Locust's, over a master and a worker, as `docker compose --profile load` has them."""

    def __init__(self, shown: Page, results: Path, worker: Popen[str]) -> None:
        self.page = shown
        self.results = results
        self.worker = worker

    def start(self, **options: str) -> None:
        """Fill in fields, all others as they are, and press START."""
        for name, value in options.items():
            self.page.write(name, value)
        self.page.click("button[type=submit]:enabled")  # which it is once there is a worker

    def begin_anew(self) -> None:
        """After a test that has ended."""
        self.page.wait(f"{STATUS} === 'STOPPED'")
        self.page.click("button", "New")
        self.open()

    def open(self) -> None:
        self.page.click("button", "Custom parameters")
        self.page.wait("document.querySelector('form [name=timeoutS]')")

    def run(self, results: Path | None = None) -> Run:
        path = results or self.results
        until(lambda: path.exists() and not Run.read(path).going_on)
        return Run.read(path)


@pytest.fixture
def form(server: Server, tmp_path: Path) -> Iterator[Form]:
    port, page_port, results = str(free_port()), str(free_port()), tmp_path / "load.json"
    master = ("--master", "--master-bind-port", port, "--web-host", "127.0.0.1", "--web-port", page_port)
    load = ("--host", server.url, "--users", "8", "--spawn-rate", "100", "--seconds", "0.4", "--results", results)
    with ExitStack() as stack:
        stack.enter_context(locust(*master, *load))
        worker = stack.enter_context(locust("--worker", "--master-port", port))
        shown = stack.enter_context(page(tmp_path))
        until(lambda: shown.opens(f"http://127.0.0.1:{page_port}"))
        shown.wait("document.querySelector('form [name=host]')")
        found = Form(shown, results, worker)
        found.open()
        yield found


def test_the_form_starts_a_test_as_it_is_with_each_option_set_and_says_why_not(
    form: Form, server: Server, tmp_path: Path
) -> None:
    shown = form.page.run("document.querySelector('form').innerText")
    assert "%(" not in shown and "[constant]" in shown
    assert {name for name, value in form.page.run(FIELDS).items() if not value} >= {"ceiling", "clicks", "maxP99Ms"}

    for (name, value), refusal in {
        ("rate", "fast"): "--rate fast: input should be a valid number, unable to parse string as a number",
        ("rate", "50,60"): "--rate 50.0,60.0: the shape constant takes 1 rate, not 2",
        ("seconds", "-1"): "--seconds -1: input should be greater than 0",
        ("maxP99Ms", "nan"): "--max-p99-ms nan: input should be a finite number",
        ("results", str(tmp_path)): f"cannot write {tmp_path}: it is no file",
        ("model", "other"): f"{server.url} serves no model other",
        ("host", "nowhere"): "nowhere is no URL of a server, such as http://127.0.0.1:8000",
        ("userCount", "0"): "no users: each is a connection, and without one nothing can be sent",
    }.items():
        before = form.page.run(FIELDS)[name]
        form.start(**{name: value})
        form.page.wait(f"document.querySelector('form [role=alert]')?.innerText === {refusal!r}")
        form.page.write(name, before)
    assert form.page.run(STATUS) == "READY"
    assert not form.results.exists()

    form.start()
    run = form.run()
    assert run.complete and run.passed and run.generators == 1
    assert [(step.offered, step.ok) for step in run.steps] == [(50, 20)]

    form.begin_anew()
    other = tmp_path / "other.json"
    options = {
        **{"ceiling": "9000", "encoding": "tsv", "maxErrorShare": "0.5", "maxP99Ms": "5000", "model": "small"},
        **{"bags": "full", "pacing": "even", "rate": "40, 80", "results": str(other), "rows": "3", "scenario": "batch"},
        **{"seconds": "0.3", "seed": "7", "shape": "step", "timeoutS": "5", "clicks": ""},
    }
    assert options.keys() == form.page.run(FIELDS).keys() - {"userCount", "spawnRate", "host", "runTime", "profile"}
    form.start(**options)
    run = form.run(other)
    assert run.complete and run.passed
    assert (run.traffic.scenario, run.traffic.encoding, run.traffic.rows, run.traffic.seed) == ("batch", "tsv", 3, 7)
    assert (run.shape, run.pacing, run.ceiling, run.traffic.model) == ("step", "even", 9000, "small")
    assert [(step.offered, step.ok_rows) for step in run.steps] == [(40, 36), (80, 72)]
    assert [(gate.name, gate.limit) for gate in run.gates] == [("error share", 0.5), ("p99 ms", 5000)]

    form.begin_anew()
    form.start(
        rate="", shape="constant", seconds="", timeoutS="", seed="", rows="", maxErrorShare="", clicks="none.tsv"
    )
    form.page.click("[role=tab]", "Failures")
    form.page.wait("document.body.innerText.includes('cannot read clicks from none.tsv')")


def test_the_page_sees_the_end_of_a_test_whose_worker_is_slow_to_stop(form: Form) -> None:
    form.start(seconds="60")
    form.page.wait(f"{STATUS} === 'RUNNING'")
    until(lambda: form.results.exists() and Run.read(form.results).steps)

    form.worker.send_signal(signal.SIGSTOP)
    form.page.click("button", "Stop")
    asked = form.page.run(ASKED)
    form.page.wait(f"{ASKED} > {asked} + 1")  # more than one answer: Locust keeps each for two seconds
    form.worker.send_signal(signal.SIGCONT)

    form.begin_anew()
    assert not form.run().complete
    form.start(seconds="0.3")
    until(lambda: Run.read(form.results).complete)
