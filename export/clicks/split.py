"""Which rows are trained on, which decide when training is over, and which are held out."""

import math
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path
from typing import Generic, Literal, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from thimble.export.clicks.rows import ClickError, Clicks
from thimble.models.hashing import Int64s

Doubles = npt.NDArray[np.float64]
By = Literal["share", "last", "time", "group"]
# Where nobody says how many rows are for validation: this share, or so many where that is less, but at most a fifth.
VALIDATION_SHARE, LEAST_VALIDATION, MOST_VALIDATION_SHARE = 0.05, 200, 0.2
_STEP = 0x9E3779B97F4A7C15


class Part(IntEnum):
    """What is done with a row."""

    TRAINING = 0
    VALIDATION = 1
    HELD_OUT = 2


class Marks(NamedTuple):
    """What rows are split by, [rows]: as in `Clicks`."""

    places: Int64s
    groups: Int64s | None
    times: Doubles | None

    @classmethod
    def of(cls, clicks: Clicks) -> "Marks":
        assert clicks.places is not None, "rows of files know their places"
        return cls(clicks.places, clicks.groups, clicks.times)


class Split(BaseModel):
    """A rule that tells the part of a row from the row alone.

    Each row has a key: a number drawn by the seed (`share`), its place in the files (`last`), its time (`time`), or a
    number drawn by the seed for its group (`group`; a row without one is a group of its own). Rows are held out from
    the key `held_out_from` on, those before from `validation_from` on are for validation, and all others are trained
    on. None: no row is.
    """

    model_config = ConfigDict(frozen=True)

    by: By
    seed: int = 0
    validation_from: float | None = None
    held_out_from: float | None = None

    def parts(self, marks: Marks) -> npt.NDArray[np.int64]:
        """The `Part` of each row."""
        held_out = np.inf if self.held_out_from is None else self.held_out_from
        validation = held_out if self.validation_from is None else self.validation_from
        parts: npt.NDArray[np.int64] = np.searchsorted([validation, held_out], keys(marks, self.by, self.seed), "right")
        return parts


class _Whole(Protocol):
    @property
    def description(self) -> str: ...

    @property
    def files(self) -> Sequence[Path]: ...

    @property
    def identity(self) -> str: ...


S = TypeVar("S", bound=_Whole)


class PartOf(Generic[S]):
    """What a source of a part of the rows of another says of itself (`rows.ClickSource`)."""

    def __init__(self, whole: S, split: Split, part: Part) -> None:
        self.whole = whole
        self.split = split
        self.part = part

    @property
    def description(self) -> str:
        return self.whole.description

    @property
    def files(self) -> Sequence[Path]:
        return self.whole.files

    @property
    def identity(self) -> str:
        return f"{self.whole.identity}; {self.part.name} of {self.split!r}"


def keys(marks: Marks, by: By, seed: int) -> Doubles:
    """What rows are split by."""
    match by:
        case "time":
            assert marks.times is not None
            return marks.times
        case "group":
            assert marks.groups is not None
            return _drawn(np.where(marks.groups == 0, marks.places, marks.groups), seed)
        case "share":
            return _drawn(marks.places, seed)
        case "last":
            return marks.places.astype(np.float64)


def usual_validation_share(rows: int) -> float:
    """Of so many rows that are not held out.

    By 25 rows chance decides when training is over. Ours, by the trials of benchmarks/training/small_files.py.
    """
    return max(VALIDATION_SHARE, min(MOST_VALIDATION_SHARE, LEAST_VALIDATION / max(rows, 1)))


def fitted(by: By, seed: int, row_keys: Doubles, held_out_share: float, validation_share: float) -> Split:
    """The rule that holds out as near to a share of the rows as it can, and so of the others for validation.

    `validation_share` is a share of what is not held out. Rows with the same key are never parted. The keys are put in
    order, which spares their memory. ClickError: all have the same key.
    """
    row_keys.sort()
    rows = len(row_keys)
    held_out = _first(row_keys, rows, math.ceil(rows * held_out_share))
    if held_out == 0:
        raise ClickError("all rows go together")
    validation = _first(row_keys, held_out, math.floor(held_out * validation_share)) or held_out
    return Split(
        by=by,
        seed=seed,
        validation_from=float(row_keys[validation]) if validation < held_out else None,
        held_out_from=float(row_keys[held_out]) if held_out < rows else None,
    )


def _first(ordered: Doubles, stop: int, wanted: int) -> int:
    """The first of about so many rows before `stop`, where a key begins; 0 where they all have the same.

    It is `stop` where none are wanted.
    """
    if not wanted:
        return stop
    key = ordered[stop - wanted]
    begins = [int(np.searchsorted(ordered[:stop], key, side)) for side in ("left", "right")]
    return min((row for row in begins if 0 < row < stop), key=lambda row: abs(row - (stop - wanted)), default=0)


def _drawn(values: Int64s, seed: int) -> Doubles:
    """A number from 0 to 1 for each value, always the same: splitmix64 (Steele et al., OOPSLA 2014)."""
    with np.errstate(over="ignore"):
        z = values.astype(np.uint64) * np.uint64(_STEP) + np.uint64((seed + 1) * _STEP % 2**64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53
