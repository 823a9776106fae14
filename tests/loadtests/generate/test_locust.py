"""Locust's own ways to run a test: its web page, CSV files, a master and workers."""

import csv
from collections.abc import Callable
from pathlib import Path

import httpx

from testing.conditions import until
from testing.processes import free_port
from testing.servers import Server
from tests.loadtests.conftest import locust
from thimble.loadtests.results.run import Run


def wait_for(results: Path, happened: Callable[[Run], bool]) -> Run:
    until(lambda: results.exists() and happened(Run.read(results)))
    return Run.read(results)


def first_page(url: str) -> str:
    def answers() -> bool:
        try:
            return httpx.get(url).is_success
        except httpx.TransportError:
            return False

    until(answers)
    return httpx.get(url).text


def test_the_web_page_starts_a_test_and_shows_it(server: Server, tmp_path: Path) -> None:
    port, results = free_port(), tmp_path / "load.json"
    page = f"http://127.0.0.1:{port}"
    with locust("--web-host", "127.0.0.1", "--web-port", str(port), "--results", results):
        assert "max_p99_ms" in first_page(page)
        form = {
            "user_count": 5,
            "spawn_rate": 100,
            "host": server.url,
            "rate": "60,120",
            "shape": "step",
            "seconds": 0.5,
        }
        for _ in range(2):  # a second one begins anew
            assert httpx.post(f"{page}/swarm", data=form).json()["success"]
            run = wait_for(results, lambda run: run.complete)
            assert [(step.offered, step.ok) for step in run.steps] == [(60, 30), (120, 60)]
            shown = httpx.get(f"{page}/stats/requests").json()["stats"]
            assert [(row["name"], row["num_requests"]) for row in shown] == [("single json", 90), ("Aggregated", 90)]
            results.unlink()


def test_a_test_stopped_on_the_web_page_is_partial(server: Server, tmp_path: Path) -> None:
    port, results = free_port(), tmp_path / "load.json"
    page = f"http://127.0.0.1:{port}"
    options = ("--web-host", "127.0.0.1", "--web-port", str(port), "--results", results, "--host", server.url)
    with locust(*options, "--rate", "50", "--seconds", "60", "--autostart", "-u", "5", "-r", "5"):
        first_page(page)
        wait_for(results, lambda run: bool(run.steps))
        for change, allowed in (({"rate": "60"}, False), ({"host": page}, False), ({"user_count": "6"}, True)):
            form = {"user_count": "5", "spawn_rate": "5", "host": server.url, "rate": "50"} | change
            assert httpx.post(f"{page}/swarm", data=form).json()["success"] == allowed
        assert httpx.post(f"{page}/stop").json()["success"]
        run = Run.read(results)
    assert not run.complete
    assert run.reason == "it was stopped before its end"
    assert 0 < run.steps[0].ok < 3000


def test_workers_share_the_load_and_their_results_add_up(server: Server, tmp_path: Path) -> None:
    port, results = str(free_port()), tmp_path / "load.json"
    load = ("--rate", "160,202", "--shape", "step", "--seconds", "0.5", "--max-p99-ms", "5000")
    files = ("--results", results, "--csv", tmp_path / "stats")
    master = ("--master", "--master-bind-port", port, "--expect-workers", "2", "--headless", "-u", "8", "-r", "8")
    with (
        locust(*master, *load, *files, "--host", server.url) as leader,
        locust("--worker", "--master-port", port) as one,
        locust("--worker", "--master-port", port) as two,
    ):
        output, _ = leader.communicate(timeout=60)
        assert leader.returncode == 0, output
        assert (one.wait(30), two.wait(30)) == (0, 0)
    run = Run.read(results)
    assert run.complete
    assert run.generators == 2
    assert [step.due for step in run.steps] == [80, 100]  # halves of 101, each rounded
    assert all(step.ok == step.due == step.histogram.count for step in run.steps)
    assert all(gate.passed for gate in run.gates)
    with (tmp_path / "stats_stats.csv").open() as lines:
        assert [row["Request Count"] for row in csv.DictReader(lines)] == ["180", "180"]


def test_a_value_that_an_option_does_not_take_ends_it_at_once() -> None:
    with locust("--headless", "--host", "http://127.0.0.1:1", "--rate", "fast") as process:
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert output.splitlines()[-1].startswith("locust: error: --rate fast: input should be a valid number")
    assert "Traceback" not in output
