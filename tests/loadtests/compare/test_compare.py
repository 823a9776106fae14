"""Comparisons that run: of artifacts, of servers that run already, and some that are cut short."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from testing.artifacts import write_artifact
from testing.samples import small_spec
from testing.servers import Server, running
from tests.loadtests.test_cli import thimble_load
from thimble.loadtests.compare import compare
from thimble.loadtests.results.comparison import NAMES, Comparison, ComparisonJournal, Settings
from thimble.loadtests.traffic.requests import Traffic
from thimble.models.inputs import Kind

QUICK = ["--rounds", "1", "--seconds", "0.3", "--rows", "8"]


@pytest.fixture(scope="module")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The same features with tables of 2 MB, and with a shared array."""
    folder = tmp_path_factory.mktemp("models")
    kinds: tuple[Kind, ...] = ("hex", "int", "string")
    write_artifact(small_spec("full", kinds=kinds, rows=10_000), folder / "full", "full", 1)
    write_artifact(small_spec(kinds=kinds), folder / "small", "small", 7)
    return [str(folder / "full"), str(folder / "small")]


@contextmanager
def comparing(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A comparison that is going on."""
    command = [
        sys.executable,
        "-c",
        "from thimble.loadtests.cli import main; main()",
        "compare",
        *map(str, arguments),
        *QUICK,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(f"it never said {text!r}")


@pytest.mark.timeout(480)
def test_two_artifacts_are_measured_in_all_respects(
    repositories: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "REPLICAS", (1, 2))
    traffic = Traffic(scenario="batch", encoding="binary", rows=8)
    found = Comparison(settings=Settings(rounds=1, seconds=0.3, max_p99_ms=500, traffic=traffic))
    path = tmp_path / "report.json"
    compare.compare(ComparisonJournal(found, path, print), repositories)
    assert (found.complete, found.reason) == (True, None)
    assert Comparison.read(path) == found
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.json"]  # models and logs are gone
    full, small = (found.sides[name] for name in NAMES)
    assert full.size and full.size > 2_000_000 and list(full.files) == ["model.onnx", "model.weights"]
    assert small.size and small.size < 100_000 and small.served["name"] == "small"
    assert found.empty and found.empty.unique > 10_000_000
    for name in NAMES:
        (turn,) = found.turns(name)
        cold, warm = turn.startups
        assert cold.cold and not warm.cold and warm.cached > 0.9
        assert 0 < cold.ready < cold.first < cold.rows
        assert turn.knee and turn.attempts
        assert [step.offered for step in turn.steps] == found.rates
        assert all(step.ok == step.due for step in turn.steps)
        assert turn.cpu_seconds and turn.rows == sum(8 * step.ok for step in turn.steps)
        assert turn.memory and turn.memory.anonymous > found.empty.anonymous
        assert turn.swap and turn.swap.released > 0
        assert (turn.swap.pushed is None) == (name == "A")  # it is more than one file
        one, two = found.replicas[name]
        assert two.memory.proportional > 1.5 * one.memory.proportional
    assert [turn.memory.mapped > 1_000_000 for name in NAMES for turn in found.turns(name) if turn.memory] == [
        True,
        False,
    ]


def test_servers_that_run_already_are_compared_under_load(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    done = thimble_load("compare", server.url, f"{server.url}/", *QUICK, "--max-p99-ms", "500", "--results", path)
    assert done.returncode == 0, done.stderr
    told = [line.partition(": ") for line in done.stdout.splitlines() if " gone, about " in line]
    assert all(
        re.fullmatch(r"([\d.]+ min )?[\d.]+ s gone, about ([\d.]+ min )?[\d.]+ s left", how) for how, _, _ in told
    )
    assert told[0][2] == f"what A serves, {server.url}"
    assert "round 1 of 1: the knee of A, the highest rate of which 99 % are answered within 500 ms" in [
        w for *_, w in told
    ]
    assert done.stdout.splitlines()[-2:] == [
        "complete",
        f"report: {tmp_path}/report.html, report.md and report.json beside it",
    ]
    found = Comparison.read(path)
    assert found.sides["A"].label == server.url
    assert [len(turn.steps) for name in NAMES for turn in found.turns(name)] == [5, 5]
    assert not found.replicas and found.empty is None
    again = thimble_load("report", path)
    assert again.returncode == 0
    assert again.stdout.splitlines()[-1] == done.stdout.splitlines()[-1]


def test_a_server_that_dies_leaves_a_partial_report(server: Server, repositories: list[str], tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    with running(repositories[1]) as other, comparing(server.url, other.url, "--results", path) as process:
        wait_for(process, "A at 5 rates")
        other.process.kill()
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (3, "")
    assert "PARTIAL: " in output
    found = Comparison.read(path)
    assert not found.complete and found.reason and found.reason.startswith("round 1 of 1: B at 5 rates: ")
    assert found.rounds[0]["A"].steps and "Partial:" in (tmp_path / "report.html").read_text()


def test_a_comparison_that_is_stopped_leaves_a_partial_report(repositories: list[str], tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    with comparing(*repositories, "--results", path) as process:
        wait_for(process, "the knee of A")
        started = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (3, "")
    assert "PARTIAL: it was stopped before its end" in output
    assert len(Comparison.read(path).rounds[0]["A"].startups) == 2
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["report.html", "report.json", "report.md"]
    assert not psutil.wait_procs(started, timeout=30)[1]


def test_of_a_comparison_that_is_killed_the_results_can_be_rendered(repositories: list[str], tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    with comparing(*repositories, "--results", path) as process:
        wait_for(process, "the knee of A")
        started = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    assert not psutil.wait_procs(started, timeout=30)[1]  # servers end with it
    done = thimble_load("report", path)
    assert (done.returncode, done.stderr) == (3, "")
    assert "PARTIAL: it was still going on when this was written" in done.stdout
    assert "Partial:" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["compare", "one"], "give two deployments to compare, or none"),
        (["compare", "one", "http://127.0.0.1:1"], "one: no such file or folder, and no URL"),
        (["compare", "--rounds", "0"], "--rounds: input should be greater than 0"),
        (["report", "none.json"], "none.json: No such file or directory"),
        (["report", "other.json"], "other.json does not hold the results of a comparison"),
    ],
)
def test_what_cannot_be_compared_is_said_in_one_line(
    arguments: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    monkeypatch.chdir(tmp_path)
    Path("other.json").write_text(json.dumps({"steps": []}))
    done = thimble_load(*arguments)
    assert (done.returncode, done.stdout) == (2 if "--rounds" in arguments else 1, "")
    assert done.stderr.startswith(f"thimble-load: {sentence}") and done.stderr.count("\n") == 1


@pytest.mark.proof
@pytest.mark.timeout(580)
def test_the_pair_that_is_built_in(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    done = thimble_load("compare", "--table-rows", "400000", *QUICK, "--max-p99-ms", "500", "--results", path)
    assert done.returncode == 0, done.stderr
    found = Comparison.read(path)
    assert found.tables == 400_000 * 64
    for name, growth in zip(NAMES, (0.75 * found.tables, 0), strict=True):
        large, small = found.sizes[name]
        assert (large.tables, small.tables) == (found.tables, found.tables // 4)
        assert large.size - small.size == pytest.approx(growth, abs=200_000)
    assert {side.served["scheme"] for side in found.sides.values()} == {"full", "block"}
    assert "Projection to 96.1 GB" in (tmp_path / "report.md").read_text()
