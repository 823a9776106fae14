"""What the runs of each model say together."""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from thimble.export.tradeoff.chance import Scatter, scatter
from thimble.export.tradeoff.grid import Setting
from thimble.export.tradeoff.outcomes import Outcome, StepTime
from thimble.export.training.history import Point
from thimble.export.training.run import WATCHED_ROWS


class Mean(NamedTuple):
    """Of a figure over seeds; `half` is that of its 95 % interval, None where no model has two seeds."""

    value: float
    half: float | None

    @property
    def interval(self) -> tuple[float, float]:
        """Where nothing is known of chance, the value alone."""
        half = self.half or 0.0
        return self.value - half, self.value + half


class Look(NamedTuple):
    """The AUC on validation rows once so many rows were trained on, after so many seconds of training."""

    rows: int
    seconds: float
    auc: float


class Finding(NamedTuple):
    """A model: held-out metrics, what it took, all means over its seeds.

    `gap` is how far the AUC is above that of the best full tables. `rows_to_full` are the rows until the model was as
    good as these but for what is allowed, over the rows that these themselves took to get there: infinite where it
    never was, None where there were no validation rows to tell. `step` is the time of a training step over one of full
    tables.
    """

    setting: Setting
    seeds: int
    embedding_bytes: int
    auc: Mean
    gap: Mean | None
    normalised_entropy: Mean
    rows: float
    seconds: float
    rows_to_full: float | None
    step: float | None


def findings(
    outcomes: Sequence[Outcome], times: Sequence[StepTime], allowed: float, validation_rows: int
) -> list[Finding]:
    """Of each model that was trained, full tables first, then each curve by its compression."""
    by_setting: dict[Setting, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        by_setting[outcome.setting].append(outcome)
    order = sorted(by_setting, key=lambda it: (not it.is_full, it.curve.key, it.compression))
    spreads = {figure: scatter([figure(it) for it in runs] for runs in by_setting.values()) for figure in (_auc, _ne)}
    fulls = [setting for setting in order if setting.is_full]
    best = max(fulls, key=lambda setting: _mean(by_setting[setting], _auc, None).value, default=None)
    steps = {time.setting: time.seconds / time.full_seconds for time in times}
    to_full = _rows_to(by_setting, best, allowed, validation_rows)

    def finding(setting: Setting) -> Finding:
        runs = by_setting[setting]
        auc = _mean(runs, _auc, spreads[_auc])
        gap = None
        if best and not setting.is_full:
            spread, opponent = spreads[_auc], by_setting[best]
            half = spread.half_width(len(runs), len(opponent)) if spread else None
            gap = Mean(auc.value - fmean(map(_auc, opponent)), half)
        return Finding(
            setting=setting,
            seeds=len(runs),
            embedding_bytes=max(it.embedding_bytes for it in runs),
            auc=auc,
            gap=gap,
            normalised_entropy=_mean(runs, _ne, spreads[_ne]),
            rows=fmean(it.rows for it in runs),
            seconds=fmean(it.seconds for it in runs),
            rows_to_full=to_full.get(setting),
            step=1.0 if setting == best else steps.get(setting),
        )

    return [finding(setting) for setting in order]


def learning(outcomes: Sequence[Outcome], validation_rows: int) -> list[Look]:
    """How a model learnt: the looks that all its runs had at the same validation rows, means of the seeds.

    Within an epoch these rows are the first WATCHED_ROWS, and at its end all of them: where there are more, what was
    seen at the ends is left out.
    """
    seen: dict[int, list[Point]] = defaultdict(list)
    for outcome in outcomes:
        ends = {point.epoch: point.rows for point in outcome.history}
        looks = {point.rows: point for point in outcome.history if point.auc is not None}
        for rows, point in looks.items():
            if validation_rows <= WATCHED_ROWS or rows not in ends.values():
                seen[rows].append(point)
    return [
        Look(rows, fmean(point.seconds for point in points), fmean(point.auc or 0.0 for point in points))
        for rows, points in sorted(seen.items())
        if len(points) == len(outcomes)
    ]


def _rows_to(
    by_setting: Mapping[Setting, Sequence[Outcome]], best: Setting | None, allowed: float, validation_rows: int
) -> dict[Setting, float]:
    """How many times the rows of full tables models took to be as good but for what is allowed, where that is known."""
    curves = {setting: learning(runs, validation_rows) for setting, runs in by_setting.items()}
    if best is None or not curves[best]:
        return {}
    enough = max(look.auc for look in curves[best]) - allowed
    taken = {
        setting: next((look.rows for look in curve if look.auc >= enough), math.inf)
        for setting, curve in curves.items()
        if curve
    }
    return {setting: rows / taken[best] for setting, rows in taken.items()}


def _mean(runs: Sequence[Outcome], figure: Callable[[Outcome], float], spread: Scatter | None) -> Mean:
    return Mean(fmean(map(figure, runs)), spread.half_width(len(runs)) if spread else None)


def _auc(outcome: Outcome) -> float:
    assert outcome.metrics.auc is not None, "the held-out rows have both classes"
    return outcome.metrics.auc


def _ne(outcome: Outcome) -> float:
    assert outcome.metrics.normalised_entropy is not None, "the held-out rows have both classes"
    return outcome.metrics.normalised_entropy
