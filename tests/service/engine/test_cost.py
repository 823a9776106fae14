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
