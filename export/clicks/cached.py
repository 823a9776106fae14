"""Rows of click files that lie in a cache, where any of them can be had at once."""

from collections.abc import Iterator, Sequence
from copy import copy
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from thimble.export.clicks.bad_rows import BadRows
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.prefetch import prefetched
from thimble.export.clicks.rows import ClickError, Clicks
from thimble.export.clicks.shards import ShardColumns
from thimble.export.clicks.split import Marks, Part, PartOf, Split
from thimble.models.conversions import Column
from thimble.models.features import Batch
from thimble.models.hashing import Int64s

Numbers = npt.NDArray[np.unsignedinteger[Any]]

# Rows are fetched so many at a time and handed out in batches: a visit to each shard costs the same for one row as for
# a hundred.
FETCHED_ROWS = 16_384


class CachedClicks:
    """The good rows of files, numbered from 0 without the bad ones. Shards stay readable if their files are removed."""

    def __init__(self, source: FileClicks, folder: Path, shards: Sequence[ShardColumns], size: int) -> None:
        self.source = source
        self.folder = folder
        self.size = size
        self.identity = source.identity
        self._shards = shards
        self._starts = np.cumsum([0, *(len(shard["label"]) for shard in shards)])
        self._names = list(shards[0]) if shards else []

    @property
    def description(self) -> str:
        return self.source.description

    @property
    def files(self) -> list[Path]:
        return self.source.files

    def count(self) -> int:
        return int(self._starts[-1])

    def marks(self) -> Iterator[Marks]:
        """What rows are split by, a shard at a time."""
        for shard in self._shards:
            yield Marks(shard["place"], shard.get("group"), shard.get("time"))

    def take(self, numbers: Int64s) -> Clicks:
        """Rows by number, in the order given."""
        order = np.argsort(numbers)
        found = self._sorted(numbers[order])
        if np.any(np.diff(order) < 0):
            back = np.empty_like(order)
            back[order] = np.arange(len(order))
            found = {name: array[back] for name, array in found.items()}
        return Clicks(
            found["label"],
            Batch(found["dense"], found["ids"]),
            groups=found.get("group"),
            times=found.get("time"),
            places=found["place"],
        )

    def read_again(self, places: Int64s) -> list[Column]:
        """The feature columns of rows as they stand in the files. ClickError: these have changed."""
        source = copy(self.source)
        source.bad = BadRows()  # they are known already
        if source.identity != self.identity:
            raise ClickError(f"{self.description} has changed since it was read; the same command reads it anew")
        wanted = np.sort(places)
        found: dict[int, Sequence[Any]] = {}
        for clicks in source.read(int(wanted[0]), int(wanted[-1]) + 1, 1024):
            assert clicks.places is not None
            rows = np.flatnonzero(np.isin(clicks.places, wanted))
            if len(rows):
                raw = clicks.take(rows).raw
                assert raw is not None
                values = zip(*raw(), strict=True)
                found |= zip(clicks.places[rows].tolist(), values, strict=True)
        return [list(column) for column in zip(*(found[place] for place in places.tolist()), strict=True)]

    def _sorted(self, numbers: Int64s) -> dict[str, npt.NDArray[Any]]:
        cuts = np.searchsorted(numbers, self._starts)
        visited = [shard for shard in range(len(self._shards)) if cuts[shard] < cuts[shard + 1]]
        found = {}
        for name in self._names:
            first = self._shards[0][name]
            column = found[name] = np.empty((len(numbers), *first.shape[1:]), first.dtype)
            for shard in visited:
                start, stop = cuts[shard], cuts[shard + 1]
                inside = numbers[start:stop] - self._starts[shard]
                # numbers are in range, and numpy copies through a buffer unless told that it need not check
                np.take(self._shards[shard][name], inside, axis=0, out=column[start:stop], mode="clip")
        return found


class Selection(PartOf[CachedClicks]):
    """A part of cached rows as a source: those with these numbers in the cache, in this order."""

    def __init__(self, cache: CachedClicks, numbers: Numbers, split: Split, part: Part) -> None:
        super().__init__(cache, split, part)
        self.numbers = numbers

    def count(self) -> int:
        return len(self.numbers)

    def read(self, start: int, stop: int, size: int) -> Iterator[Clicks]:
        return self.read_in(self.numbers[start:stop], size)

    def read_in(self, numbers: Numbers, size: int) -> Iterator[Clicks]:
        """Cached rows by number, `size` at a time."""
        return prefetched(self._batches(numbers, size))

    def _batches(self, numbers: Numbers, size: int) -> Iterator[Clicks]:
        step = max(1, FETCHED_ROWS // size) * size
        for first in range(0, len(numbers), step):
            fetched = self.whole.take(numbers[first : first + step].astype(np.int64))
            for row in range(0, len(fetched.labels), size):
                batch = fetched.take(slice(row, row + size))
                assert batch.places is not None
                yield batch._replace(raw=partial(self.whole.read_again, batch.places))
