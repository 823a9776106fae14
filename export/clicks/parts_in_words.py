"""What a run says of how its rows are split and ordered."""

from contextlib import suppress
from datetime import UTC, datetime

import numpy as np

from thimble.export.clicks.cached import Selection
from thimble.export.clicks.filtered import Filtered
from thimble.export.clicks.order import BUFFER_ROWS, BufferedRows, ShuffledRows
from thimble.export.clicks.parts import Plan, keys_of
from thimble.export.clicks.rows import Parts, Rows

_FAR = 1.5  # times what was asked for


def described(parts: Parts, plan: Plan) -> list[str]:
    """What the rows are split by, where that is not as asked, and the order in which they are trained on."""
    return [f"split {_rule(parts, plan)}", *_otherwise(parts, plan), f"order: {_order(parts.training, plan)}"]


def _otherwise(parts: Parts, plan: Plan) -> list[str]:
    """What else became of the split than was asked for."""
    _, held_out, validation = parts
    together = f"rows of one value of {plan.column!r} stay together" if plan.column else "there are too few rows"
    notes = []
    if not _is_apart(parts) and plan.column:
        share = len(held_out) / sum(len(part) for part in parts if part)
        if not 1 / _FAR < share / plan.held_out_share < _FAR:
            notes.append(f"held out are {share:.1%} of the rows, not {plan.held_out_share:.1%}: {together}")
    if plan.validation_share != 0 and not validation:
        notes.append(f"no rows for validation: {together}")
    return notes


def _is_apart(parts: Parts) -> bool:
    """Whether what is held out is in files of its own."""
    return parts.held_out.source.files != parts.training.source.files


def _rule(parts: Parts, plan: Plan) -> str:
    source = parts.training.source
    rule = source.split if isinstance(source, Selection | Filtered) else None
    held_out = [] if _is_apart(parts) else ["held out"]
    drawn = " and ".join([*held_out, "for validation"] if parts.validation else held_out)
    if not drawn:
        return "by nothing: what is held out is in files of its own"
    match plan.by:
        case "share" if rule:
            return f"by share: rows {drawn} are drawn by seed {plan.seed}"
        case "time" if rule:
            bounds = {"held out": rule.held_out_from, "for validation": rule.validation_from}
            moments = isinstance(source, Selection) and source.whole.source.has_moments()
            named = [
                f"{name} are rows from {_written(bound, moments)} on"
                for name, bound in bounds.items()
                if bound is not None
            ]
            return f"by {plan.column!r}: {', '.join(named)}"
        case "group":
            together = f"all rows of one value stay together{_values(parts, plan)}"
            return f"by {plan.column!r}: {together}, drawn by seed {plan.seed}"
    return f"by share: rows {drawn} are the last"


def _written(time: float, is_moment: bool) -> str:
    """A time as it is compared, and as people read it."""
    with suppress(ValueError, OverflowError, OSError):  # Python's years end with 9999
        if is_moment:
            return f"{time:.15g} ({datetime.fromtimestamp(time, UTC).isoformat().replace('+00:00', 'Z')})"
    return f"{time:.15g}"


def _values(parts: Parts, plan: Plan) -> str:
    """How many values of the column there are in each part."""
    named = {"trained on": parts.training, "for validation": parts.validation, "held out": parts.held_out}
    sources = {name: rows.source for name, rows in named.items() if rows and isinstance(rows.source, Selection)}
    counts = [
        f"{len(np.unique(keys_of(plan, source.whole)[source.numbers])):,} {name}"
        for name, source in sources.items()
        if source.split.by == "group"
    ]
    return f" ({', '.join(counts)})" if counts else ""


def _order(training: Rows, plan: Plan) -> str:
    match training:
        case ShuffledRows():
            return f"shuffled anew in each epoch, by seed {plan.seed}"
        case BufferedRows():
            return f"shuffled anew in each epoch among {BUFFER_ROWS:,} rows at a time, by seed {plan.seed}"
    return f"that of {plan.column!r}" if plan.by == "time" else "that of the files"
