"""What an engine is expected to take."""

import pytest

from thimble.service.engine import cost


def test_a_run_that_was_held_up_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    now, held_up = 0.0, {1, 64}
    monkeypatch.setattr(cost, "perf_counter", lambda: now)

    def run(rows: int) -> None:
        nonlocal now
        now += 0.001 * rows + (1.0 if rows in held_up else 0)
        held_up.discard(rows)

    measured = cost.measured(64, run)
    assert measured.at_best(1) == pytest.approx(0.001)
    assert measured.at_best(64) == pytest.approx(0.064)


def test_costs_are_learnt_and_outliers_are_not() -> None:
    engine = cost.Cost(100, one_row=0.002, full_batch=0.101)
    assert engine.expected(1) == pytest.approx(0.002)
    assert engine.expected(100) == pytest.approx(0.101)
    assert engine.expected(250) == pytest.approx(3 * 0.001 + 250 * 0.001)
    for _ in range(10):
        engine.learn(100, 0.101)
    engine.learn(100, 30.0)
    assert engine.expected(100) == pytest.approx(0.101, rel=0.06)
    engine.learn(100, 0.101)
    assert engine.expected(100) == pytest.approx(0.101)
    for _ in range(40):
        engine.learn(50, 3 * 0.051)
    assert engine.expected(100) == pytest.approx(3 * 0.101)
    assert engine.at_best(100) == pytest.approx(0.101)
