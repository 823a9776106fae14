"""Platt scaling: the slope and the intercept that make a trained model's logits fit rows it was not trained on."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from thimble.export.clicks.rows import Clicks
from thimble.export.metrics.negatives import row_weights
from thimble.export.training.evaluation import labelled_logits
from thimble.export.wording import counted
from thimble.models.hashing import Floats
from thimble.models.nn.recommender import Recommender
from thimble.models.provenance import PlattScaling
from thimble.models.spec import Metrics

Doubles = npt.NDArray[np.float64]

# Of clicks and of other rows, each, for a slope that is known within about a tenth. Fewer leave it to chance: ten
# clicks made right scores worse by 5 % of their log loss on average, and by 37 % at the worst of sixty draws.
LEAST = 100

_STEPS = 100
_GRADIENT = 1e-10  # of the mean log loss, where the steps are over: far below what any score could show
_ROUNDING = 1e-13  # by which a loss may seem to rise
_WRONG_WAY = "on the validation rows higher scores do not mean more clicks"


class PlattError(ValueError):
    """Why rows tell no scaling, in half a sentence."""


def platt_scaling(labels: Floats, logits: Doubles, weights: Doubles | None = None) -> PlattScaling:
    """The scaling with the least log loss on rows [rows]. PlattError: there is none, or none that keeps their order.

    The targets are the labels, not Platt's smoothed ones (Platt 1999), so that the mean score of these rows is their
    base rate, however rare clicks are. `weights` say how many rows each stands for.
    """
    clicked = labels > 0.5
    if not len(labels) or clicked.all() or not clicked.any():
        raise PlattError("the validation rows are all of one class")
    clicks = int(clicked.sum())
    if min(clicks, len(labels) - clicks) < LEAST:
        raise PlattError(
            f"{counted(clicks, 'click')} and {counted(len(labels) - clicks, 'other row')} for validation are too few, "
            f"it takes {LEAST} of each; bring more rows, or a larger --validation-share"
        )
    if not np.isfinite(logits).all():
        raise PlattError("not all logits of the validation rows are finite")
    if logits.min() == logits.max():
        raise PlattError("the validation rows all have the same score")
    if logits[clicked].min() >= logits[~clicked].max():
        raise PlattError("on the validation rows no click has a lower score than another row")
    if logits[clicked].max() <= logits[~clicked].min():
        raise PlattError(_WRONG_WAY)
    mean, deviation = logits.mean(), logits.std()
    x = np.stack([(logits - mean) / deviation, np.ones(len(logits))], axis=1)
    slope, intercept = _logistic_regression(x, clicked, np.ones(len(labels)) if weights is None else weights)
    if slope <= 0:
        raise PlattError(_WRONG_WAY)
    slope /= deviation
    return PlattScaling(slope=slope, intercept=intercept - slope * mean, rows=len(labels))


def calibrate(model: Recommender, batches: Iterable[Clicks], negatives_kept: float = 1) -> PlattScaling:
    """Scale a model's logits to fit rows, of whose negatives that share was kept. PlattError: the model stays as it is.

    The scaling becomes a part of the last layer's weights, so scoring costs what it did.
    """
    labels, logits = labelled_logits(model, batches)
    scaling = platt_scaling(labels, logits.astype(np.float64), row_weights(labels, negatives_kept))
    fold(scaling, model.last_layer)
    return scaling


def fold(scaling: PlattScaling, last_layer: nn.Linear) -> None:
    """Make the layer whose output is the logit give the scaled one."""
    with torch.no_grad():
        last_layer.weight.mul_(scaling.slope)
        last_layer.bias.mul_(scaling.slope).add_(scaling.intercept)


def unfold(scaling: PlattScaling, last_layer: nn.Linear) -> None:
    """Take a scaling out of the layer again: what an optimizer remembers is of the weights without it."""
    with torch.no_grad():
        last_layer.weight.div_(scaling.slope)
        last_layer.bias.sub_(scaling.intercept).div_(scaling.slope)


def enough_rows(metrics: Metrics, negatives_kept: float = 1) -> bool:
    """Whether rows with these metrics, of whose negatives that share was kept, are enough for a scaling."""
    clicked = metrics.base_rate / (metrics.base_rate + negatives_kept * (1 - metrics.base_rate))  # of the rows at hand
    clicks = metrics.rows * clicked
    return round(min(clicks, metrics.rows - clicks)) >= LEAST


def _logistic_regression(x: Doubles, clicked: npt.NDArray[np.bool_], weights: Doubles) -> Doubles:
    """Coefficients of the columns of x [rows, 2], by Newton's method with steps that are halved until the loss falls.

    The loss is convex; so Lin, Lin and Weng do it (A note on Platt's probabilistic outputs, Machine Learning 68, 2007).
    """
    share = weights / weights.sum()

    def loss(coefficients: Doubles) -> float:
        z = x @ coefficients
        return float(share @ (np.logaddexp(0, z) - clicked * z))

    rate = float(share @ clicked)
    found = np.array([0.0, np.log(rate / (1 - rate))])
    for _ in range(_STEPS):
        scores = np.exp(-np.logaddexp(0, -(x @ found)))
        gradient = x.T @ (share * (scores - clicked))
        if np.abs(gradient).max() < _GRADIENT:
            return found
        hessian = (x * (share * scores * (1 - scores))[:, None]).T @ x
        step, before = np.linalg.solve(hessian, gradient), loss(found)
        while loss(found - step) > before + _ROUNDING:
            step = step / 2
        found = found - step
    raise PlattError("the scaling does not converge on the validation rows")
