"""Which run is worth its time next.

First every model of the grid gets one run, full tables and the ends of each curve before what lies between; then the
models of which chance does not let tell whether they are good enough get further seeds. What time is left halves the
steps of a curve, where its ends differ most beside what chance makes of it, and then repeats everything with all seeds.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import pairwise
from statistics import fmean

from thimble.export.tradeoff.chance import Scatter, scatter
from thimble.export.tradeoff.grid import Grid, Run, Setting

Figures = Mapping[Run, float]
"""The AUC of each run that is finished."""
Found = Mapping[Setting, Sequence[float]]
"""The AUCs of each model."""

# Steps of a curve that are smaller than this factor are not halved.
LEAST_STEP = 1.5


def next_run(
    grid: Grid, figures: Figures, allowed: float, passed_over: AbstractSet[Run], known: Mapping[Run, float], left: float
) -> Run | None:
    """The first run that is worth its time and ends in time, None where there is no such.

    `allowed` is how far the AUC may be below that of full tables. Runs under way and those that failed are
    `passed_over`. `known` are the seconds that finished runs took, and `left` those that there are.
    """
    runs = (run for run in wanted(grid, figures, allowed) if run not in passed_over)
    return next((run for run in runs if (expected_seconds(run, known) or 0) <= left), None)


def expected_seconds(run: Run, known: Mapping[Run, float]) -> float | None:
    """The mean of the runs of the same model, else the longest of those most alike; None where none is known."""
    setting = run.setting
    if same := [seconds for other, seconds in known.items() if other.setting == setting]:
        return fmean(same)
    on_curve = [seconds for other, seconds in known.items() if other.setting.curve == setting.curve]
    of_kind = [seconds for other, seconds in known.items() if other.setting.is_full == setting.is_full]
    return max(on_curve or of_kind or known.values(), default=None)


def wanted(grid: Grid, figures: Figures, allowed: float) -> Iterator[Run]:
    """All runs that are not finished, what is most worth its time first. It follows from what is finished alone."""
    everything = by_setting(figures)
    curves = {setting.curve for setting in grid.settings}
    found = {setting: aucs for setting, aucs in everything.items() if setting.curve in curves}  # not other grids'
    yield from (Run(setting, 0) for setting in _first_order(grid) if setting not in found)
    full = max((found[setting] for setting in grid.full if setting in found), key=fmean, default=None)
    if full is None:
        return  # there is nothing to compare with
    spread = scatter(everything.values())
    again = _undecided(found, full, allowed, spread)
    halves = [Run(setting, 0) for setting in _halves(found, allowed, spread)]
    rest = sorted(found, key=lambda setting: len(found[setting]))
    seeds = range(grid.seeds)
    next_seeds = {
        setting: next((Run(setting, seed) for seed in seeds if Run(setting, seed) not in figures), None)
        for setting in found
    }
    runs = [*map(next_seeds.get, again), *halves, *map(next_seeds.get, rest)]
    yield from dict.fromkeys(run for run in runs if run)


def by_setting(figures: Figures) -> dict[Setting, list[float]]:
    """The figures of each model, by their seeds."""
    found = defaultdict(list)
    for run in sorted(figures, key=lambda run: run.seed):
        found[run.setting].append(figures[run])
    return dict(found)


def _first_order(grid: Grid) -> list[Setting]:
    """Full tables, the ends of all curves, and what lies between."""
    ends, between = [], []
    for curve in _curves(grid.compressed):
        ends += [curve[0], *curve[-1:]]
        between += curve[1:-1]
    return list(dict.fromkeys([*grid.full, *ends, *between]))


def _undecided(found: Found, full: Sequence[float], allowed: float, spread: Scatter | None) -> list[Setting]:
    """Models of which chance leaves open whether they are good enough, and full tables, which say what is."""
    distance = {
        setting: abs(fmean(aucs) - (fmean(full) - allowed)) for setting, aucs in found.items() if not setting.is_full
    }
    undecided = [
        setting
        for setting, far in distance.items()
        if spread is None or far <= spread.half_width(len(found[setting]), len(full))
    ]
    if not undecided:
        return []
    opponents = [setting for setting in found if setting.is_full]
    return sorted([*opponents, *undecided], key=lambda setting: (len(found[setting]), distance.get(setting, 0.0)))


def _halves(found: Found, allowed: float, spread: Scatter | None) -> list[Setting]:
    """Models half-way between neighbours on a curve that differ by more than chance, the largest difference first.

    Where no model has two seeds, what is allowed stands for chance.
    """
    steps: dict[Setting, float] = {}
    for curve in _curves([setting for setting in found if not setting.is_full]):
        for one, other in pairwise(curve):
            counts = len(found[one]), len(found[other])
            chance = spread.half_width(*counts) if spread else allowed
            difference = abs(fmean(found[one]) - fmean(found[other]))
            if difference > chance and other.compression / one.compression > LEAST_STEP:
                middle = float(f"{math.sqrt(one.compression * other.compression):.2g}")
                steps[one.model_copy(update={"compression": middle})] = difference / (chance or math.ulp(1))
    return sorted((half for half in steps if half not in found), key=lambda half: -steps[half])


def _curves(settings: Sequence[Setting]) -> list[list[Setting]]:
    """Models that differ in compression alone, the least compressed first."""
    curves = defaultdict(list)
    for setting in settings:
        curves[setting.curve].append(setting)
    return [sorted(curve, key=lambda setting: setting.compression) for curve in curves.values()]
