"""Files as rows to train on, rows for validation and rows held out, in the order in which they are trained on."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from thimble.export.clicks.cache import Say, cached
from thimble.export.clicks.cached import CachedClicks, Numbers, Selection
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.filtered import filtered
from thimble.export.clicks.order import BufferedRows, ShuffledRows
from thimble.export.clicks.rows import ClickError, ClickSource, Parts, Rows, checked, refuse_shared, split
from thimble.export.clicks.split import By, Doubles, Part, Split, fitted, keys, usual_validation_share

_ALL = Split(by="last", held_out_from=0)


@dataclass(frozen=True)
class Plan:
    """How rows are split, and whether they are shuffled. `column` is what they are split by, if it is one.

    `validation_share` is a share of the rows that are not held out, None for the usual one.
    """

    by: By = "share"
    column: str | None = None
    held_out_share: float = 0.1
    validation_share: float | None = None
    in_order: bool = False
    seed: int = 0

    @property
    def group(self) -> str | None:
        return self.column if self.by == "group" else None

    @property
    def time(self) -> str | None:
        return self.column if self.by == "time" else None

    def validation_share_of(self, rows: int) -> float:
        """The share for validation of so many rows that are not held out."""
        return usual_validation_share(rows) if self.validation_share is None else self.validation_share


def parse_split(text: str, in_order: bool) -> tuple[By, str | None]:
    """What rows are split by, from `share`, `time:COLUMN` or `group:COLUMN`. ClickError: it is none of them."""
    by, _, column = text.partition(":")
    match by, column.strip():
        case "share", "":
            return ("last" if in_order else "share"), None
        case ("time" | "group") as kind, name if name:
            return kind, name
    raise ClickError(f"--split takes share, time:COLUMN or group:COLUMN, not {text!r}")


def prepared(source: FileClicks, held_out: FileClicks | None, plan: Plan, cache: Path | None, say: Say) -> Parts:
    """Parts of files from their cache in a folder, or streamed where there is none. ClickError: there are no such."""
    if cache is None:
        say(f"reading {source.description} once to count its rows")
        return streamed_parts(source, held_out, plan)
    return cached_parts(cached(source, cache, say), cached(held_out, cache, say) if held_out else None, plan)


def cached_parts(cache: CachedClicks, held_out: CachedClicks | None, plan: Plan) -> Parts:
    """Parts of a cache; what is held out may be another one. ClickError: too few rows, or they all go together."""
    if held_out is not None:
        refuse_shared(cache.files, held_out.files)
    rule = _fitted(plan, cache, 0.0 if held_out else plan.held_out_share)
    of_rows = np.concatenate([rule.parts(marks).astype(np.int8) for marks in cache.marks()])

    def selection(part: Part) -> Selection:
        return Selection(cache, _numbers(of_rows == part), rule, part)

    training = selection(Part.TRAINING)
    if plan.in_order and plan.by == "time":
        times = keys_of(plan, cache)[training.numbers]
        training.numbers = training.numbers[np.argsort(times, kind="stable")]
    validation = selection(Part.VALIDATION)
    return checked(
        Parts(
            _all(training) if plan.in_order else ShuffledRows(training, 0, training.count(), plan.seed),
            all_rows(held_out) if held_out else _all(selection(Part.HELD_OUT)),
            _all(validation) if validation.count() else None,
        )
    )


def all_rows(cache: CachedClicks) -> Rows:
    """Every row of a cache, in order."""
    return _all(Selection(cache, _numbers(np.ones(cache.count(), bool)), _ALL, Part.HELD_OUT))


def streamed_parts(source: FileClicks, held_out: FileClicks | None, plan: Plan) -> Parts:
    """Parts of files that are read in every epoch, once now to count them. ClickError: as `cached_parts`."""
    if plan.by == "time":
        raise ClickError("rows are split by time only in a cache; leave out --no-cache or --split")
    if plan.by == "group":
        parts = _streamed_groups(source, held_out, plan)
    else:
        others = source.count() if held_out else math.floor(source.count() * (1 - plan.held_out_share))
        parts = split(source, held_out, plan.held_out_share, plan.validation_share_of(others))
    if plan.in_order:
        return parts
    rows = parts.training
    return parts._replace(training=BufferedRows(rows.source, rows.start, rows.stop, plan.seed))


def _streamed_groups(source: FileClicks, held_out: FileClicks | None, plan: Plan) -> Parts:
    """By shares of the numbers that are drawn for groups: which groups there are is not known."""
    if held_out is not None:
        refuse_shared(source.files, held_out.files)
    share = 0.0 if held_out else plan.held_out_share
    validation_share = plan.validation_share_of(math.floor(source.count() * (1 - share)))
    rule = Split(
        by="group", seed=plan.seed, validation_from=(1 - share) * (1 - validation_share), held_out_from=1 - share
    )
    of = filtered(source, rule)
    wanted = {Part.TRAINING: "trained on", **({} if held_out else {Part.HELD_OUT: "held out"})}
    for part, use in wanted.items():
        if not of[part].count() and any(it.count() for it in of.values()):
            drawn = f"no value of {plan.column!r} was drawn to be {use}"
            ways_out = "give other shares or another --seed, or leave out --no-cache"
            raise ClickError(f"{source.description}: {drawn}; {ways_out}")
    return checked(
        Parts(
            _all(of[Part.TRAINING]),
            _all(held_out or of[Part.HELD_OUT]),
            _all(of[Part.VALIDATION]) if of[Part.VALIDATION].count() else None,
        )
    )


def _fitted(plan: Plan, cache: CachedClicks, held_out_share: float) -> Split:
    rows = cache.count()
    if not rows:
        raise ClickError(f"{cache.description}: no usable row to train on")
    if rows == 1 and held_out_share:
        raise ClickError(f"{cache.description}: one row is too few to train on some and hold out others")
    try:
        validation_share = plan.validation_share_of(math.floor(rows * (1 - held_out_share)))
        return fitted(plan.by, plan.seed, keys_of(plan, cache), held_out_share, validation_share)
    except ClickError:
        same = f"column {plan.column!r} is the same in all {rows:,} rows"
        raise ClickError(f"{cache.description}: {same}, so they cannot be split by it") from None


def keys_of(plan: Plan, cache: CachedClicks) -> Doubles:
    """What each row is split by."""
    return np.concatenate([keys(marks, plan.by, plan.seed) for marks in cache.marks()])


def _numbers(chosen: npt.NDArray[np.bool_]) -> Numbers:
    """Row numbers, in the fewest bytes."""
    return np.flatnonzero(chosen).astype(np.uint32 if len(chosen) < 2**32 else np.uint64)


def _all(source: ClickSource) -> Rows:
    return Rows(source, 0, source.count())
