"""When workers that ended are started again."""

from thimble.service.process.restarts import WELL_SECONDS, Restarts


def test_one_that_served_well_is_started_at_once() -> None:
    restarts = Restarts()
    assert restarts.ended(0, WELL_SECONDS, now=100) == 0
    assert restarts.take_due(100) == [0]
    assert restarts.take_due(100) == []  # once


def test_the_pauses_of_one_that_keeps_dying_grow_to_half_a_minute() -> None:
    restarts = Restarts()
    assert [restarts.ended(0, served=0, now=0) for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    assert restarts.ended(1, served=9, now=0) == 1  # the others have their own
    assert restarts.take_due(29.9) == [1]
    assert restarts.take_due(30) == [0]


def test_a_pause_stays_finite_however_often_one_dies() -> None:
    restarts = Restarts()
    assert {restarts.ended(0, served=0, now=0) for _ in range(5000)} == {1, 2, 4, 8, 16, 30}


def test_a_loop_is_a_problem_until_the_worker_serves_well() -> None:
    restarts = Restarts()
    problems = []
    for _ in range(3):
        restarts.ended(0, served=1, now=0)
        problems.append(restarts.problem)
    assert problems == [None, None, "workers keep dying: 3 in a row ended within 10 s; the log says why"]
    restarts.serves(0, WELL_SECONDS - 0.1)
    assert restarts.problem == problems[-1]
    restarts.serves(0, WELL_SECONDS)
    assert restarts.problem is None
    assert restarts.ended(0, served=1, now=0) == 1
