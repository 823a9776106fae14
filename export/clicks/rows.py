"""Clicks as training, evaluation and export read them: by row number, a batch at a time."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from thimble.export.wording import listed
from thimble.models.conversions import Column
from thimble.models.features import Batch
from thimble.models.hashing import Floats, Int64s


class ClickError(ValueError):
    """Click data that cannot be used; the message names the file and the line."""


class Clicks(NamedTuple):
    """Labelled rows.

    `raw` makes the feature columns as they were read; `truth` are the hidden logits of generated clicks, which have no
    other form than the batch. `groups`, int64 [rows], are equal where rows belong together, as those of a user.
    `times`, float64 [rows], are seconds since 1970, or numbers of another unit. `places`, int64 [rows], are the rows'
    numbers in their source, from 0: bad rows are left out, but have one too.
    """

    labels: Floats
    batch: Batch
    raw: Callable[[], Sequence[Column]] | None = None
    truth: npt.NDArray[np.float64] | None = None
    groups: Int64s | None = None
    times: npt.NDArray[np.float64] | None = None
    places: Int64s | None = None


class ClickSource(Protocol):
    """Where clicks come from, addressed by row number so that training can stop and resume anywhere."""

    @property
    def description(self) -> str: ...

    @property
    def files(self) -> Sequence[Path]:
        """Those that it reads, if any."""

    @property
    def identity(self) -> str:
        """The same only for the very same clicks: a run resumes, and an export reads them again, only if it is."""

    def count(self) -> int:
        """Rows there are, bad ones included."""

    def read(self, start: int, stop: int, size: int) -> Iterator[Clicks]:
        """Rows start..stop, `size` rows at a time; bad rows are left out of their batch."""


@dataclass(frozen=True)
class Rows:
    """A range of rows of a source."""

    source: ClickSource
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def read(self, size: int, skip: int = 0, epoch: int = 0) -> Iterator[Clicks]:
        """All but the first `skip`, `size` rows at a time, in the order of the epoch."""
        return self.source.read(self.start + skip, self.stop, size)

    def first(self, rows: int) -> "Rows":
        return Rows(self.source, self.start, min(self.stop, self.start + rows))


class Parts(NamedTuple):
    """What is done with rows: trained on, or held out to say how good the model is.

    `validation` rows, if any, are not trained on either, but decide when training is over.
    """

    training: Rows
    held_out: Rows
    validation: Rows | None = None


def split(source: ClickSource, held_out: ClickSource | None = None, share: float = 0.1) -> Parts:
    """The held-out rows are those of a source of their own, or the last `share` of the one."""
    rows = source.count()
    if held_out is not None:
        trained_on = {file.resolve() for file in source.files}
        both = [str(file) for file in held_out.files if file.resolve() in trained_on]
        if both:
            raise ClickError(f"{listed(both)} cannot be both trained on and held out")
        parts = Parts(Rows(source, 0, rows), Rows(held_out, 0, held_out.count()))
    else:
        first = rows - math.ceil(rows * share)
        parts = Parts(Rows(source, 0, first), Rows(source, first, rows))
    if not len(parts.training) or not len(parts.held_out):
        raise ClickError(f"{source.description}: {rows} rows are too few to train on some and hold out others")
    return parts
