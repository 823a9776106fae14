"""When clients that were refused together come again."""

from bisect import bisect_right
from random import Random

import pytest

from thimble.client.retries import LONGEST_PAUSE, Retries, pause

CLIENTS = 200


def returns(attempt: int, retry_after: float | None) -> list[float]:
    """When each of many clients comes again, s after all were refused at once."""
    return sorted(pause(attempt, retry_after, Random(seed).uniform) for seed in range(CLIENTS))


def most_within(times: list[float], seconds: float) -> int:
    return max(bisect_right(times, time + seconds) - first for first, time in enumerate(times))


@pytest.mark.parametrize("retry_after", [0, 1, 7, 60])
def test_those_who_were_told_the_same_come_again_apart(retry_after: float) -> None:
    times = returns(0, retry_after)
    assert retry_after <= times[0] and times[-1] <= retry_after + 1
    assert most_within(times, 0.05) < 0.15 * CLIENTS


def test_without_a_word_from_the_server_they_spread_over_twice_the_time_at_each_attempt() -> None:
    for attempt, window in enumerate((0.1, 0.2, 0.4, 0.8, 1.6, 3.2, LONGEST_PAUSE, LONGEST_PAUSE)):
        times = returns(attempt, None)
        assert times[0] < 0.05 * window and 0.95 * window < times[-1] <= window
        assert most_within(times, window / 10) < 0.2 * CLIENTS
    assert returns(10_000, None)[-1] <= LONGEST_PAUSE


def test_what_would_be_beyond_patience_is_not_tried() -> None:
    assert Retries(5).next_pause(0, 6) is None
    assert Retries(0).next_pause(0, 0) is None
    assert Retries(5).next_pause(0, float("inf")) is None
    within = Retries(60).next_pause(0, 6)
    assert within is not None and within >= 6


def test_attempts_and_the_time_between_them_use_patience_up() -> None:
    retries = Retries(60)
    assert retries.next_pause(20, 10) is not None
    assert retries.next_pause(20, 10) is None
