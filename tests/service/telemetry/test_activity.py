"""What is told of the last minutes, of what was counted."""

import numpy as np
import pytest

from thimble.service.telemetry import columns
from thimble.service.telemetry.activity import KEPT_SAMPLES, Activity, quantile
from thimble.service.telemetry.columns import LATENCY_BOUNDS, WIDTH, column_of
from thimble.service.telemetry.counts import Matrix, Rows

MEMORY = ("", "")


class Script:
    """Counts that a test writes, and a clock that it moves."""

    def __init__(self) -> None:
        self.rows = Rows()
        self.now = 1000.0
        self._matrix = np.zeros((0, WIDTH))

    def read(self) -> Matrix:
        missing = len(self.rows.versions) - len(self._matrix)
        self._matrix = np.concatenate([self._matrix, np.zeros((missing, WIDTH))])
        return self._matrix.copy()

    def count(self, version: tuple[str, str], column: int, amount: float) -> None:
        row = self.rows.of(version)
        self.read()
        self._matrix[row, column] += amount

    def clock(self) -> float:
        return self.now


def sampled(script: Script, activity: Activity, seconds: float = 5) -> None:
    script.now += seconds
    activity.sample()


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def activity(script: Script) -> Activity:
    activity = Activity(script, script.clock)
    activity.sample()
    return activity


def test_what_was_counted_before_the_first_sample_is_not_told(script: Script) -> None:
    script.count(("m", "1"), columns.ROWS, 1000)
    activity = Activity(script, script.clock)
    activity.sample()
    assert not activity.samples
    script.count(("m", "1"), columns.ROWS, 50)
    sampled(script, activity)
    assert [figures.rows for figures in activity.over_time(None)] == [10]


def test_rates_are_of_the_seconds_that_a_sample_took(script: Script, activity: Activity) -> None:
    for amount, column in ((30, columns.LATENCY), (20, columns.REFUSED), (10, columns.INVALID), (5, columns.FAILED)):
        script.count(("m", "1"), column, amount)
    script.count(("n", "7"), columns.ROWS, 100)
    sampled(script, activity, 10)
    (all_models,), (m,), (n,) = (activity.over_time(model) for model in (None, "m", "n"))
    assert (m.requests, m.refused, m.invalid, m.failed, m.rows) == (6.5, 2, 1, 0.5, 0)
    assert (n.requests, n.rows, n.median) == (0, 10, None)
    assert (all_models.requests, all_models.rows) == (6.5, 10)


def test_the_last_minute_is_that_of_each_version(script: Script, activity: Activity) -> None:
    script.count(("m", "1"), columns.ROWS, 6000)  # too long ago
    sampled(script, activity)
    for _ in range(12):
        script.count(("m", "2"), columns.ROWS, 10)
        sampled(script, activity)
    assert {version: figures.rows for version, figures in activity.lately().items()} == {("m", "2"): 2}


def test_states_are_told_as_they_are_and_not_as_rates(script: Script, activity: Activity) -> None:
    script.count(("m", "1"), columns.QUEUED, 40)
    script.count(MEMORY, columns.MEMORY, 3e8)
    sampled(script, activity)
    sampled(script, activity)
    assert [figures.queued for figures in activity.over_time(None)] == [40, 40]
    assert activity.lately()[("m", "1")].queued == 40
    assert activity.memory() == [3e8, 3e8]
    assert MEMORY not in activity.lately()


def test_a_version_that_comes_back_and_begins_anew_is_not_counted_backwards(script: Script, activity: Activity) -> None:
    script.count(("m", "1"), columns.ROWS, 500)
    sampled(script, activity)
    script.count(("m", "1"), columns.ROWS, -490)
    sampled(script, activity)
    assert [figures.rows for figures in activity.over_time(None)] == [100, 0]


def test_so_many_samples_are_kept_and_idle_versions_take_no_room(script: Script, activity: Activity) -> None:
    for version in range(1000):
        script.rows.of(("m", str(version)))
    for _ in range(KEPT_SAMPLES + 10):
        script.count(("m", "3"), columns.ROWS, 1)
        sampled(script, activity)
    assert len(activity.samples) == KEPT_SAMPLES
    assert {sample.counted.shape for sample in activity.samples} == {(1, WIDTH)}


def test_quantiles_lie_where_prometheus_would_have_them() -> None:
    counted = np.zeros(len(LATENCY_BOUNDS))
    assert quantile(counted, 0.5) is None
    counted[1] = 100  # between 0.5 and 1 ms
    assert quantile(counted, 0.5) == pytest.approx(0.00075)
    counted[0] = 100
    assert quantile(counted, 0.25) == pytest.approx(0.00025)
    assert quantile(counted, 0.99) == pytest.approx(0.00099)
    counted[-1] = 1000  # beyond all bounds
    assert quantile(counted, 0.99) == LATENCY_BOUNDS[-2]


@pytest.mark.parametrize(
    ("status", "column"),
    [
        ("200", columns.LATENCY + 1),
        *((status, columns.REFUSED) for status in ("429", "503", "504")),
        *((status, columns.INVALID) for status in ("400", "413")),
        *((status, columns.FAILED) for status in ("500", "507")),
    ],
)
def test_requests_are_told_apart_by_what_became_of_them(status: str, column: int) -> None:
    assert column_of("thimble_request_seconds_bucket", {"status": status, "le": "0.001"}) == column
    assert column_of("thimble_shadow_rows_total", {}) is None
