import math
import random
from statistics import fmean

import pytest

from thimble.export.tradeoff.chance import scatter, student_975


@pytest.mark.parametrize(
    ("freedom", "point"), [(1, 12.706), (4, 2.776), (10, 2.228), (11, 2.201), (20, 2.086), (60, 2.000), (10**6, 1.960)]
)
def test_students_points_are_those_of_the_tables(freedom: int, point: float) -> None:
    assert student_975(freedom) == pytest.approx(point, rel=1e-3)


def test_the_scatter_of_seeds_is_pooled_over_models() -> None:
    found = scatter([[1.0, 3.0], [10.0, 10.0, 13.0], [5.0], []])
    assert found is not None
    assert found.freedom == 3 and found.deviation == pytest.approx(math.sqrt((2 + 6) / 3))
    assert found.half_width(2, 1) == pytest.approx(3.182 * found.deviation * math.sqrt(1.5))


def test_one_seed_each_says_nothing_of_chance() -> None:
    assert scatter([[0.7], [0.8]]) is None and scatter([]) is None


def test_intervals_hold_the_truth_nineteen_times_of_twenty() -> None:
    drawn, held = random.Random(0), 0
    for _ in range(2000):
        models = [[drawn.gauss(mean, 0.001) for _ in range(3)] for mean in (0.78, 0.77, 0.75)]
        found = scatter(models)
        assert found is not None
        held += abs(fmean(models[0]) - fmean(models[2]) - 0.03) <= found.half_width(3, 3)
    assert held / 2000 == pytest.approx(0.95, abs=0.015)
