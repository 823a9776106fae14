"""How well scores rank clicks: the area under the ROC curve, of all rows and within groups of them."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from thimble.export.metrics.intervals import Doubles, Estimate, Int64s, bootstrap_error, ratio, within


class GroupAuc(NamedTuple):
    """`value` is None when no group has both classes. `one_class` of the `groups` had no AUC and were left out."""

    value: Estimate | None
    groups: int
    one_class: int


def auc(
    labels: npt.NDArray[Any],
    scores: npt.NDArray[Any],
    weights: npt.NDArray[Any] | None = None,
    groups: npt.NDArray[Any] | None = None,
) -> Estimate | None:
    """Area under the ROC curve, equal scores counting half; None when all labels are the same.

    The interval of independent rows is DeLong's (Biometrics, 1988), from ranks as by Sun and Xu (IEEE Signal Processing
    Letters, 2014). Rows of a group are not independent: with `groups` it is the cluster bootstrap's.
    """
    order = np.argsort(scores)
    clicked = labels[order] > 0.5
    positive, negative = order[clicked], order[~clicked]
    if not len(positive) or not len(negative):
        return None
    weighed = np.ones(len(scores)) if weights is None else weights.astype(np.float64)
    of_positive, of_negative = weighed[positive], weighed[negative]
    pairs = _Pairs(scores[positive], scores[negative])
    value = pairs.auc(of_positive, of_negative)
    if groups is None:
        return Estimate(value, within(value, pairs.error(of_positive, of_negative), 0, 1))
    distinct, index = np.unique(groups, return_inverse=True)
    whose_positive, whose_negative = index[positive], index[negative]
    error = bootstrap_error(
        lambda drawn: pairs.auc(of_positive * drawn[whose_positive], of_negative * drawn[whose_negative]),
        len(distinct),
        len(order),
    )
    return Estimate(value, None if error is None else within(value, error, 0, 1))


def group_auc(
    labels: npt.NDArray[Any],
    scores: npt.NDArray[Any],
    groups: npt.NDArray[Any],
    weights: npt.NDArray[Any] | None = None,
) -> GroupAuc:
    """Mean of the AUCs within groups, each weighing as much as its rows: GAUC (Zhou et al., KDD 2018, 5.2).

    Groups of one class have no AUC and are left out. The interval takes the groups as independent.
    """
    order = np.lexsort((scores, groups))
    weighed = np.ones(len(order)) if weights is None else weights[order].astype(np.float64)
    clicked = labels[order] > 0.5
    first_of_group = _starts(groups[order])
    starts = np.union1d(first_of_group, _starts(scores[order]))
    positive = np.add.reduceat(weighed * clicked, starts)
    negative = np.add.reduceat(weighed * ~clicked, starts)

    first = np.searchsorted(starts, first_of_group)  # of each group, among the distinct scores within groups
    positives, negatives = np.add.reduceat(positive, first), np.add.reduceat(negative, first)
    before = np.repeat(np.cumsum(negatives) - negatives, np.diff(np.append(first, len(starts))))
    won = np.add.reduceat(positive * (np.cumsum(negative) - negative / 2 - before), first)
    mixed = (positives > 0) & (negatives > 0)
    rows = (positives + negatives)[mixed]
    value = ratio(rows * won[mixed] / (positives * negatives)[mixed], rows, most=1) if mixed.any() else None
    return GroupAuc(value, len(mixed), int((~mixed).sum()))


class _Pairs:
    """Scores of clicked rows and of others, each from the lowest to the highest, ready for any weights of theirs."""

    def __init__(self, positive: npt.NDArray[Any], negative: npt.NDArray[Any]) -> None:
        self._beaten = _Below(positive, negative)
        self._missed = _Below(negative, positive)

    def auc(self, positive: Doubles, negative: Doubles) -> float:
        """Share of the pairs in order, by the weights of the rows; NaN if all of a class are 0."""
        pairs = positive.sum() * negative.sum()
        return float(np.dot(positive, self._beaten.mass(negative)) / pairs) if pairs > 0 else np.nan

    def error(self, positive: Doubles, negative: Doubles) -> float:
        """DeLong's standard error of it."""
        beaten = self._beaten.mass(negative) / negative.sum()
        missed = 1 - self._missed.mass(positive) / positive.sum()
        return float(np.hypot(_mean_error(beaten, positive), _mean_error(missed, negative)))


class _Below:
    """How many of `others` have lower scores than each of `scores`; equal ones count half. Both are sorted."""

    def __init__(self, scores: npt.NDArray[Any], others: npt.NDArray[Any]) -> None:
        self._lower = np.searchsorted(others, scores, "left")
        self._not_higher = np.searchsorted(others, scores, "right")

    def mass(self, others: Doubles) -> Doubles:
        """The same by their weights."""
        total = np.concatenate([[0.0], np.cumsum(others)])
        half: Doubles = (total[self._lower] + total[self._not_higher]) / 2
        return half


def _mean_error(values: Doubles, weights: Doubles) -> float:
    """Standard error of a weighted mean of independent rows; 0 for one row, of which nothing is known."""
    rows = len(values)
    residuals = weights * (values - np.average(values, weights=weights))
    return float(np.sqrt(np.dot(residuals, residuals) * rows / max(1, rows - 1)) / weights.sum())


def _starts(ordered: npt.NDArray[Any]) -> Int64s:
    """Where a value differs from the one before it."""
    return np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
