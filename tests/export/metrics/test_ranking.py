from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thimble.export.metrics.intervals import Estimate
from thimble.export.metrics.ranking import auc, group_auc

Array = npt.NDArray[Any]


def pairs_in_order(labels: Array, scores: Array, weights: Array) -> float | None:
    """The definition: the share of pairs of a clicked row and another that the scores put in order, ties half."""
    won = weight = 0.0
    for i in np.flatnonzero(labels == 1):
        for j in np.flatnonzero(labels == 0):
            pair = weights[i] * weights[j]
            weight += pair
            won += pair * ((scores[i] > scores[j]) + 0.5 * (scores[i] == scores[j]))
    return won / weight if weight else None


def covers(found: Estimate | None, true: float) -> bool:
    assert found is not None and found.interval is not None
    return found.interval[0] <= true <= found.interval[1]


ROWS = st.lists(
    st.tuples(st.booleans(), st.integers(0, 6), st.integers(1, 5), st.integers(-2, 2)), min_size=1, max_size=40
)


@settings(deadline=None)
@given(ROWS)
def test_auc_is_the_share_of_pairs_in_order(rows: list[tuple[bool, int, int, int]]) -> None:
    labels, scores, weights, groups = (np.array(column, np.float32) for column in zip(*rows, strict=True))
    expected = pairs_in_order(labels, scores, weights)
    for found in (auc(labels, scores, weights), auc(labels, scores, weights, groups)):
        if expected is None:
            assert found is None
        else:
            assert found is not None and found.value == pytest.approx(expected, abs=1e-12)
            if found.interval:
                assert 0 <= found.interval[0] <= found.value + 1e-12 and found.value - 1e-12 <= found.interval[1] <= 1


@settings(deadline=None)
@given(ROWS)
def test_group_auc_is_the_mean_of_the_groups_aucs_by_their_rows(rows: list[tuple[bool, int, int, int]]) -> None:
    labels, scores, weights, groups = (np.array(column, np.float32) for column in zip(*rows, strict=True))
    won = weight = one_class = 0.0
    for group in set(groups):
        mine = groups == group
        value = pairs_in_order(labels[mine], scores[mine], weights[mine])
        if value is None:
            one_class += 1
        else:
            won += value * weights[mine].sum()
            weight += weights[mine].sum()
    found = group_auc(labels, scores, groups.astype(np.int64), weights)
    assert (found.groups, found.one_class) == (len(set(groups)), one_class)
    if weight:
        assert found.value is not None and found.value.value == pytest.approx(won / weight, abs=1e-12)
    else:
        assert found.value is None


def test_a_weight_is_that_many_rows() -> None:
    random = np.random.default_rng(1)
    labels, scores = (random.random(300) < 0.3).astype(np.float32), random.integers(0, 9, 300)
    weights, groups = random.integers(1, 4, 300), random.integers(0, 20, 300)
    clicks, ranks, whose = (np.repeat(values, weights) for values in (labels, scores, groups))
    weighed, rows = auc(labels, scores, weights, groups), auc(clicks, ranks, None, whose)
    assert weighed is not None and rows is not None
    assert weighed.value == pytest.approx(rows.value, abs=1e-12)
    assert weighed.interval == pytest.approx(rows.interval, abs=1e-12)
    within = group_auc(labels, scores, groups, weights), group_auc(clicks, ranks, whose)
    assert within[0].value is not None and within[1].value is not None
    assert within[0].value.interval == pytest.approx(within[1].value.interval, abs=1e-12)


def test_auc_at_its_ends() -> None:
    labels = np.array([0, 0, 1, 1])
    assert auc(labels, np.array([1, 2, 3, 4])) == (1, (1, 1))
    assert auc(labels, np.array([4, 3, 2, 1])) == (0, (0, 0))
    same = auc(labels, np.array([5, 5, 5, 5]))
    assert same is not None and same.value == 0.5
    single = auc(np.array([0, 1]), np.array([1, 2]))
    assert single is not None and single.value == 1


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_has_no_auc(label: int) -> None:
    labels = np.full(5, label)
    assert auc(labels, np.arange(5)) is None
    assert group_auc(labels, np.arange(5), np.array([1, 1, 1, 2, 2])) == (None, 2, 2)


def test_one_group_says_nothing_of_others() -> None:
    labels, scores, group = np.array([0, 1, 0, 1]), np.array([1, 3, 2, 4]), np.zeros(4, np.int64)
    assert auc(labels, scores, None, group) == (1, None)
    assert group_auc(labels, scores, group) == ((1, None), 1, 0)


def test_the_interval_covers_the_true_auc_about_95_times_in_a_hundred() -> None:
    random = np.random.default_rng(11)
    shift = 1.0
    true = NormalDist().cdf(shift / 2**0.5)
    labels = np.repeat([1.0, 0.0], [80, 160])
    covered = 0
    trials = 600
    for _ in range(trials):
        covered += covers(auc(labels, random.normal(size=240) + shift * labels), true)
    assert 0.92 < covered / trials < 0.98


def users(random: np.random.Generator, count: int, rows: int) -> tuple[Array, Array, Array]:
    """Rows of users who differ in how much they click and in what they are shown: labels, scores, users."""
    whose = np.repeat(np.arange(count), rows)
    taste, shown = random.normal(size=count)[whose], random.normal(size=count)[whose]
    labels = (random.random(len(whose)) < 1 / (1 + np.exp(1 - 2 * taste))).astype(np.float32)
    return labels, 0.5 * taste + shown + random.normal(size=len(whose)), whose


def test_rows_of_a_user_say_less_than_as_many_of_different_users() -> None:
    labels, scores, whose = users(np.random.default_rng(3), 60, 50)
    together, apart = auc(labels, scores, None, whose), auc(labels, scores)
    assert together is not None and together.interval is not None and apart is not None and apart.interval is not None
    widths = [high - low for low, high in (together.interval, apart.interval)]
    assert widths[0] > 2 * widths[1]
    assert together == auc(labels, scores, None, whose)  # drawn by the same seed


@pytest.mark.proof
def test_intervals_of_grouped_rows_cover_the_truth_where_those_of_independent_rows_do_not() -> None:
    random = np.random.default_rng(5)
    many = users(random, 100_000, 20)
    true, true_within = auc(*many[:2]), group_auc(*many).value
    assert true is not None and true_within is not None
    trials = 400
    together = apart = within = 0
    for _ in range(trials):
        labels, scores, whose = users(random, 100, 20)
        together += covers(auc(labels, scores, None, whose), true.value)
        apart += covers(auc(labels, scores), true.value)
        within += covers(group_auc(labels, scores, whose).value, true_within.value)
    assert 0.92 < together / trials < 0.975
    assert 0.92 < within / trials < 0.975
    assert apart / trials < 0.75
