"""Whoever has made a change hears how the other workers followed it, whatever becomes of them."""

import select
from collections.abc import Iterator

import pytest

from thimble.service.process.channel import PROBLEM_CHARACTERS, Channel
from thimble.service.process.syncs import TIMEOUT_SECONDS, Syncs
from thimble.service.process.worker_process import WorkerProcess


def _nothing(channel: Channel) -> int:
    select.select([channel], [], [])
    return 0


@pytest.fixture
def workers() -> Iterator[list[WorkerProcess]]:
    """They serve, and follow nothing by themselves."""
    workers = [WorkerProcess(number, _nothing, lambda: None, 5) for number in range(2)]
    for worker in workers:
        worker.serves_since = 0
    yield workers
    for worker in workers:
        worker.kill()
        worker.process.join()
        worker.close()


@pytest.fixture
def answers() -> list[list[str]]:
    return []


def test_it_is_answered_when_all_have_followed(workers: list[WorkerProcess], answers: list[list[str]]) -> None:
    syncs = Syncs()
    syncs.begin("m", None, workers, 0, answers.append)
    syncs.done(workers[0], 0, "no such file")
    syncs.done(workers[0], 0, None)  # once
    assert answers == []
    syncs.done(workers[1], 0, None)
    assert answers == [[f"worker {workers[0].pid}: no such file"]]


def test_several_are_under_way_and_each_has_its_own_answer(
    workers: list[WorkerProcess], answers: list[list[str]]
) -> None:
    syncs = Syncs()
    for _ in range(2):
        syncs.begin("m", None, workers[:1], 0, answers.append)
    syncs.done(workers[0], 1, "second")
    assert answers == [[f"worker {workers[0].pid}: second"]]
    syncs.done(workers[0], 0, None)
    assert answers[1:] == [[]]


def test_nobody_waits_for_one_that_starts_or_has_ended(workers: list[WorkerProcess], answers: list[list[str]]) -> None:
    syncs = Syncs()
    workers[0].serves_since = None
    syncs.begin("m", None, workers, 0, answers.append)
    syncs.left(workers[1])
    assert answers == [[]]
    syncs.done(workers[1], 0, "late")
    assert answers == [[]]


def test_one_that_does_not_follow_is_named_when_its_time_is_over(
    workers: list[WorkerProcess], answers: list[list[str]]
) -> None:
    syncs = Syncs()
    syncs.begin("m", None, workers, 0, answers.append)
    syncs.done(workers[0], 0, None)
    syncs.expire(TIMEOUT_SECONDS - 1)
    assert answers == []
    syncs.expire(TIMEOUT_SECONDS)
    assert answers == [[f"worker {workers[1].pid}: it did not follow within 660 s"]]


def test_problems_are_cut_to_what_a_message_can_hold(workers: list[WorkerProcess], answers: list[list[str]]) -> None:
    syncs = Syncs()
    syncs.begin("m", None, workers, 0, answers.append)
    for worker in workers:
        syncs.done(worker, 0, "x" * 100_000)
    assert [len(problem) for problem in answers[0]] == [PROBLEM_CHARACTERS] * 2
