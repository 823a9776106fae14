"""A part of the rows of files, told from the others as they are read."""

from collections.abc import Iterator, Mapping

import numpy as np

from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.prefetch import prefetched
from thimble.export.clicks.rows import Clicks, rebatched
from thimble.export.clicks.split import Marks, Part, PartOf, Split


class Filtered(PartOf[FileClicks]):
    """The good rows of one part, numbered from 0. Those before the first that is wanted are read as well."""

    def __init__(self, source: FileClicks, split: Split, part: Part, rows: int) -> None:
        super().__init__(source, split, part)
        self.rows = rows

    def count(self) -> int:
        return self.rows

    def read(self, start: int, stop: int, size: int) -> Iterator[Clicks]:
        return prefetched(rebatched(self._until(stop), size, start))

    def _until(self, stop: int) -> Iterator[Clicks]:
        for clicks in self.whole.blocks():
            rows = np.flatnonzero(self.split.parts(Marks.of(clicks)) == self.part)[:stop]
            if len(rows):
                yield clicks.take(rows)
            stop -= len(rows)
            if not stop:
                break


def filtered(source: FileClicks, split: Split) -> Mapping[Part, Filtered]:
    """All parts of a source, which is read once to count their rows."""
    counts = np.zeros(len(Part), np.int64)
    for clicks in source.blocks():
        counts += np.bincount(split.parts(Marks.of(clicks)), minlength=len(Part))
    return {part: Filtered(source, split, part, int(counts[part])) for part in Part}
