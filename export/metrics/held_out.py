"""How good scores of held-out rows are, in one record."""

from typing import Any

import numpy as np
import numpy.typing as npt

from thimble.export.metrics.calibration import calibration_error, row_log_losses
from thimble.export.metrics.intervals import Doubles, Int64s, ratio
from thimble.export.metrics.ranking import auc, group_auc
from thimble.models.spec import Metrics


def held_out_metrics(
    labels: npt.NDArray[Any],
    scores: npt.NDArray[Any],
    truth: npt.NDArray[Any] | None = None,
    groups: npt.NDArray[Any] | None = None,
    weights: npt.NDArray[Any] | None = None,
) -> Metrics:
    """Metrics of probabilities `scores` on held-out rows, all arrays [rows], at least one.

    `truth` are the hidden logits of generated clicks. `groups` are equal where rows belong together: these are not
    independent, so intervals take the groups as units. `weights` say how many rows each stands for, as the rows that
    are left of a down-sampled class do. ValueError: scores that are no probabilities.
    """
    bad = ~((scores >= 0) & (scores <= 1))
    if bad.any():
        raise ValueError(f"{bad.sum():,} of {len(scores):,} scores are no probabilities; the first is {scores[bad][0]}")
    weighed = np.ones(len(labels)) if weights is None else weights.astype(np.float64)
    units = np.unique(groups, return_inverse=True)[1] if groups is not None else None
    base_rate = float(np.average(labels, weights=weighed))
    losses = _sums(weighed * row_log_losses(labels, scores), units)
    loss = ratio(losses, _sums(weighed, units))
    # the constant is the best one on these rows, so that to first order chance in its rate changes nothing
    constants = _sums(weighed * row_log_losses(labels, np.full(len(labels), base_rate)), units)
    relative = ratio(losses, constants) if 0 < base_rate < 1 else None
    priced = ratio(_sums(weighed * scores, units), _sums(weighed * labels, units)) if base_rate > 0 else None
    ranked = auc(labels, scores, weights, groups)
    best = auc(labels, truth, weights) if truth is not None else None
    grouped = group_auc(labels, scores, groups, weights) if groups is not None else None
    within = grouped.value if grouped else None
    return Metrics(
        rows=len(labels),
        base_rate=base_rate,
        log_loss=loss.value,
        log_loss_interval=loss.interval,
        normalised_entropy=relative.value if relative else None,
        normalised_entropy_interval=relative.interval if relative else None,
        calibration=priced.value if priced else None,
        calibration_interval=priced.interval if priced else None,
        calibration_error=calibration_error(labels, scores, weights),
        auc=ranked.value if ranked else None,
        auc_interval=ranked.interval if ranked else None,
        best_auc=best.value if best else None,
        group_auc=within.value if within else None,
        group_auc_interval=within.interval if within else None,
        groups=grouped.groups if grouped else None,
        one_class_groups=grouped.one_class if grouped else None,
    )


def _sums(values: Doubles, units: Int64s | None) -> Doubles:
    """Sums over the rows of each unit, of which each row is one by itself where there are no groups."""
    return values if units is None else np.bincount(units, weights=values).astype(np.float64, copy=False)
