"""Which run comes next: a rule of what is finished alone."""

from collections.abc import Callable

import pytest

from tests.export.tradeoff.made_up import auc_of, block, grid
from thimble.export.tradeoff.choice import expected_seconds, next_run, wanted
from thimble.export.tradeoff.grid import FULL, Grid, Run, Setting

FULL_TABLES = Setting(scheme=FULL)


def played(
    of: Grid,
    seconds: float = 1e9,
    took: Callable[[Run], float] = lambda _: 1.0,
    auc: Callable[[Run], float] = auc_of,
    before: dict[Run, float] | None = None,
) -> list[Run]:
    """The runs of a trade-off on one core, with a clock of our own."""
    figures, known = dict(before or {}), dict.fromkeys(before or {}, 1.0)
    done, clock = [], 0.0
    while run := next_run(of, figures, 0.001, set(), known, seconds - clock):
        assert run not in figures
        done.append(run)
        figures[run], known[run] = auc(run), took(run)
        clock += took(run)
    return done


def test_full_tables_come_first_then_the_ends_of_each_curve() -> None:
    runs = list(wanted(grid(10, 100, 1000, chunks=(4, 8)), {}, 0.001))
    ends = [block(10, 4), block(1000, 4), block(10, 8), block(1000, 8)]
    assert runs == [Run(it, 0) for it in (FULL_TABLES, *ends, block(100, 4), block(100, 8))]


def test_time_goes_where_the_curve_bends() -> None:
    runs = played(grid(10, 100, 1000, 10_000))
    added = {run.setting.compression for run in runs} - {1, 10, 100, 1000, 10_000}
    assert {320.0, 3200.0} <= added and min(added) > 100, "up to 100 the curve is flat"
    close = [run.setting.compression for run in runs if 300 < run.setting.compression < 380]
    assert close.count(320.0) == 3, "where 0.001 is lost every seed is worth its time"


def test_what_chance_leaves_open_is_repeated_before_curves_are_halved() -> None:
    runs = played(grid(10, 1000))
    assert runs[3:5] == [Run(FULL_TABLES, 1), Run(block(10), 1)]


def test_seeds_are_repeated_in_the_end_and_no_run_comes_twice() -> None:
    runs = played(grid(10, 100, 10_000))
    assert len(set(runs)) == len(runs)
    assert all(runs.count(Run(run.setting, seed)) == 1 for run in runs for seed in range(3))


def test_the_same_results_give_the_same_order() -> None:
    assert played(grid(10, 100, 1000)) == played(grid(10, 100, 1000))


@pytest.mark.parametrize("seconds", [1, 30, 100, 333, 1000])
def test_the_time_holds_once_it_is_known_how_long_runs_take(seconds: float) -> None:
    def took(run: Run) -> float:
        return 40.0 if run.setting.is_full else 10.0 + run.seed

    runs = played(grid(10, 100, 1000, 10_000), seconds, took)
    assert runs[0] == Run(FULL_TABLES, 0), "before the first run nothing is known"
    used = sum(map(took, runs))
    assert used - took(runs[-1]) <= seconds and (len(runs) == 1 or used <= seconds + 2)


def test_a_run_that_would_not_end_in_time_gives_way_to_a_shorter_one() -> None:
    known = {Run(FULL_TABLES, 0): 100.0, Run(block(10), 0): 5.0, Run(block(1000), 0): 5.0}
    figures = {run: auc_of(run) for run in known}
    of = grid(10, 1000)
    assert next_run(of, figures, 0.001, set(), known, 1000) == Run(FULL_TABLES, 1)
    assert next_run(of, figures, 0.001, set(), known, 20) == Run(block(10), 1)
    assert next_run(of, figures, 0.001, set(), known, 4) is None


def test_how_long_a_run_takes_is_told_by_those_most_alike() -> None:
    known = {Run(FULL_TABLES, 0): 100.0, Run(block(10), 0): 8.0, Run(block(10), 1): 6.0, Run(block(1000, 4), 0): 9.0}
    expected = [expected_seconds(Run(it, 2), known) for it in (block(10), block(20), block(20, 16), FULL_TABLES)]
    assert expected == [7.0, 8.0, 9.0, 100.0]
    assert expected_seconds(Run(FULL_TABLES, 0), {}) is None


def test_runs_that_failed_or_are_under_way_are_passed_over() -> None:
    of = grid(10, 1000, seeds=1)
    assert next_run(of, {}, 0.001, {Run(FULL_TABLES, 0)}, {}, 10) == Run(block(10), 0)
    every = {Run(it, 0) for it in of.settings}
    assert next_run(of, {}, 0.001, every, {}, 10) is None


def test_other_grids_in_the_folder_are_not_gone_on_with() -> None:
    others = {Run(it, 0): 0.7 for it in (block(10, 4), block(1000, 4))}
    assert all(run.setting.chunk != 4 for run in played(grid(10, 1000), before=others))


def test_a_seed_whose_file_was_removed_is_trained_again() -> None:
    before = {Run(block(10), 1): 0.79}
    assert Run(block(10), 0) in played(grid(10, 1000, seeds=2), before=before)


def test_one_seed_is_enough_where_no_more_are_wanted() -> None:
    runs = played(grid(10, 1000, seeds=1))
    assert {run.seed for run in runs} == {0} and len(runs) > 3


def test_models_that_all_score_the_same_end() -> None:
    assert len(played(grid(10, 100, 1000), auc=lambda _: 0.5)) == 12
