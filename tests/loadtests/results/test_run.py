from pathlib import Path

import pytest

from thimble.loadtests.results.run import GOING_ON, Run, RunJournal, Step, joined
from thimble.loadtests.traffic.requests import Traffic


def step(offered: float = 100, ok: int = 90, ms: float = 2.0) -> Step:
    found = Step(offered=offered, seconds=1, elapsed=1.5, due=ok + 10, ok=ok, ok_rows=3 * ok, rejected={"429": 10})
    for _ in range(ok):
        found.histogram.record(ms)
    return found


def a_run(**more: object) -> Run:
    return Run(url="http://127.0.0.1:1", traffic=Traffic(), shape="step", connections=4, **more)  # type: ignore[arg-type]


def test_a_run_comes_back_from_disk(tmp_path: Path) -> None:
    run = a_run(steps=[step()], complete=True, reason=None)
    run.write(tmp_path / "new" / "load.json")
    assert Run.read(tmp_path / "new" / "load.json") == run


def test_a_run_that_goes_on_is_on_disk_with_the_step_it_is_at(tmp_path: Path) -> None:
    path = tmp_path / "load.json"
    run = a_run()
    journal = RunJournal(run, path)
    journal.write()
    assert Run.read(path).steps == []
    journal.add(step(100))
    journal.write(step(200, ok=5))
    found = Run.read(path)
    assert [s.offered for s in found.steps] == [100, 200]
    assert found.going_on
    assert not found.complete
    assert found.reason == GOING_ON
    assert [path.name for path in tmp_path.iterdir()] == ["load.json"]


def test_rates_count_the_time_that_a_backlog_took() -> None:
    found = step(ok=90)
    assert found.achieved == 60
    assert found.rows_per_second == 180
    assert found.error_share == pytest.approx(0.1)
    assert found.latency is not None
    assert found.latency.p50 == pytest.approx(2, rel=0.001)
    assert found.latency.max == 2


def test_repetitions_become_one_step() -> None:
    whole = joined([step(ok=90, ms=1), step(ok=30, ms=9)])
    assert (whole.offered, whole.seconds, whole.elapsed, whole.due) == (100, 2, 3, 140)
    assert whole.rejected == {"429": 20}
    assert whole.achieved == 40
    assert whole.histogram.percentile(50) == pytest.approx(1, rel=0.001)
    assert whole.histogram.percentile(90) == pytest.approx(9, rel=0.001)


def test_steps_near_the_generators_ceiling_are_marked() -> None:
    run = a_run(steps=[step(79), step(81)])
    assert run.near_ceiling == []
    run.ceiling = 100
    assert run.near_ceiling == [1]
