import math

import numpy as np
import pytest

from thimble.loadtests.results.histogram import GROWTH, Histogram


def of(latencies: list[float]) -> Histogram:
    histogram = Histogram()
    for ms in latencies:
        histogram.record(ms)
    return histogram


def test_percentiles_are_exact_to_a_thousandth() -> None:
    latencies = np.sort(np.random.default_rng(0).lognormal(1, 1.5, 20_000))
    histogram = of(latencies.tolist())
    for q in (1, 50, 90, 99, 99.9, 100):
        exact = latencies[round(q * 200) - 1]
        assert histogram.percentile(q) == pytest.approx(exact, rel=GROWTH - 1)
    assert histogram.percentiles(50, 99) == [histogram.percentile(50), histogram.percentile(99)]
    assert histogram.mean_ms == pytest.approx(latencies.mean())


def test_a_tenth_of_a_millisecond_is_told_apart_up_to_a_tenth_of_a_second() -> None:
    for ms in (0.05, 0.3, 5, 50, 99):
        assert of([ms]).counts.keys() != of([ms + 0.1]).counts.keys()


def test_the_largest_is_exact_and_bounds_the_rest() -> None:
    histogram = of([1.0, 2.0, 3.00001])
    assert histogram.percentile(100) == histogram.max_ms == 3.00001
    assert of([7.0]).percentile(50) == 7.0


def test_two_add_up_to_the_whole() -> None:
    whole, left, right = of([0.0001, 1, 2, 3, 500]), of([1, 500]), of([0.0001, 2, 3])
    left.add(right)
    assert left == whole
    assert left.count == 5
    assert Histogram.model_validate_json(left.model_dump_json()) == whole


def test_without_latencies_there_are_no_percentiles() -> None:
    assert math.isnan(Histogram().percentile(99))
    assert math.isnan(Histogram().mean_ms)
