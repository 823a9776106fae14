"""Clicks as training, evaluation and export read them: by row number, a batch at a time."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from thimble.export.wording import listed
from thimble.models.conversions import Column
from thimble.models.features import Batch
from thimble.models.hashing import Floats, Int64s


class ClickError(ValueError):
    """Click data that cannot be used; the message names the file and the line."""


class Clicks(NamedTuple):
    """Labelled rows, their labels float32 [rows], or of several answers [rows, heads].

    `raw` makes the feature columns as they were read; `truth` are the hidden logits of generated clicks, which have no
    other form than the batch, in the shape of the labels. `groups`, int64 [rows], are equal where rows belong together,
    as those of a user. `times`, float64 [rows], are seconds since 1970, or numbers of another unit. `places`, int64
    [rows], are the rows' numbers in their source, from 0: bad rows are left out, but have one too.
    """

    labels: Floats
    batch: Batch
    raw: Callable[[], Sequence[Column]] | None = None
    truth: npt.NDArray[np.float64] | None = None
    groups: Int64s | None = None
    times: npt.NDArray[np.float64] | None = None
    places: Int64s | None = None

    def take(self, rows: Int64s | slice) -> "Clicks":
        """Some of the rows, by their numbers here. Nothing is copied of a slice."""

        def taken(array: npt.NDArray[Any] | None) -> Any:
            return None if array is None else array[rows]

        return Clicks(
            self.labels[rows],
            Batch._make(tensor[rows] for tensor in self.batch),
            None if self.raw is None else partial(_raw_taken, self.raw, rows),
            taken(self.truth),
            taken(self.groups),
            taken(self.times),
            taken(self.places),
        )


def joined(parts: Sequence[Clicks]) -> Clicks:
    """One after the other."""
    if len(parts) == 1:
        return parts[0]
    labels, batches, raws, truths, groups, times, places = zip(*parts, strict=True)
    return Clicks(
        np.concatenate(labels),
        Batch.joined(batches),
        None if None in raws else partial(_raw_joined, raws),
        truth=_concatenated(truths),
        groups=_concatenated(groups),
        times=_concatenated(times),
        places=_concatenated(places),
    )


def rebatched(blocks: Iterator[Clicks], size: int, skip: int = 0) -> Iterator[Clicks]:
    """All but the first `skip` of some rows, `size` at a time.

    Each block is cut by itself: what is left of one must not hold those before it, which `raw` of joined rows does.
    """
    held: list[Clicks] = []
    rows = 0
    for block in blocks:
        first = min(skip, len(block.labels))
        skip -= first
        while (left := len(block.labels) - first) >= (wanted := size - rows):
            yield joined([*held, block.take(slice(first, first + wanted))])
            held, rows, first = [], 0, first + wanted
        if left:
            held.append(block.take(slice(first, None)))
            rows += left
    if rows:
        yield joined(held)


def _concatenated(parts: Sequence[npt.NDArray[Any] | None]) -> npt.NDArray[Any] | None:
    there = [part for part in parts if part is not None]
    return np.concatenate(there) if there else None


def _raw_joined(parts: Sequence[Callable[[], Sequence[Column]]]) -> list[Column]:
    return [list(chain.from_iterable(columns)) for columns in zip(*(part() for part in parts), strict=True)]


def _raw_taken(raw: Callable[[], Sequence[Column]], rows: Int64s | slice) -> list[Column]:
    return [column[rows] if isinstance(rows, slice) else [column[row] for row in rows] for column in raw()]


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
        """Rows there are, bad ones included where they have numbers."""

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

    @property
    def identity(self) -> str:
        """The same only for the very same rows in the same order."""
        return self.source.identity

    def read(self, size: int, skip: int = 0, epoch: int = 0) -> Iterator[Clicks]:
        """All but the first `skip`, `size` rows at a time, in the order of the epoch."""
        return self.source.read(self.start + skip, self.stop, size)

    def first(self, rows: int) -> "Rows":
        """The first of them in the order of the source."""
        return Rows(self.source, self.start, min(self.stop, self.start + rows))


class Parts(NamedTuple):
    """What is done with rows: trained on, or held out to say how good the model is.

    `validation` rows, if any, are not trained on either, but decide when training is over.
    """

    training: Rows
    held_out: Rows
    validation: Rows | None = None


def split(
    source: ClickSource, held_out: ClickSource | None = None, share: float = 0.1, validation_share: float = 0.0
) -> Parts:
    """The held-out rows are those of a source of their own, or the last `share` of the one.

    The last `validation_share` of the others are for validation. ClickError: they are too few.
    """
    rows = source.count()
    if held_out is not None:
        refuse_shared(source.files, held_out.files)
    first = rows if held_out else rows - math.ceil(rows * share)
    trained = first - math.floor(first * validation_share)
    return checked(
        Parts(
            Rows(source, 0, trained),
            Rows(held_out, 0, held_out.count()) if held_out else Rows(source, first, rows),
            Rows(source, trained, first) if trained < first else None,
        )
    )


def refuse_shared(training: Sequence[Path], held_out: Sequence[Path]) -> None:
    """ClickError: a file is in both."""
    trained_on = {file.resolve() for file in training}
    both = [str(file) for file in held_out if file.resolve() in trained_on]
    if both:
        raise ClickError(f"{listed(both)} cannot be both trained on and held out")


def checked(parts: Parts) -> Parts:
    """The same. ClickError: there is none to train on, or none is held out."""
    training, held_out, validation = parts
    apart = held_out.source.files != training.source.files
    if apart and not len(held_out):
        raise ClickError(f"{held_out.source.description}: no usable row to evaluate on")
    if not len(training) or not len(held_out):
        rows = sum(len(part) for part in (training, validation, *([] if apart else [held_out])) if part)
        few = "1 row is" if rows == 1 else f"{rows} rows are"
        wrong = f"{few} too few to train on some and hold out others" if rows else "no usable row to train on"
        raise ClickError(f"{training.source.description}: {wrong}")
    return parts
