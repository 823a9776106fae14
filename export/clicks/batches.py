"""Blocks of clicks, cut and joined into batches of a size."""

from collections.abc import Iterable, Iterator

import numpy as np

from thimble.export.clicks.rows import Clicks, joined


def batches(blocks: Iterable[tuple[int, Clicks]], start: int, size: int) -> Iterator[Clicks]:
    """Rows from `start` on, `size` rows of the source at a time, bad ones, which no block has, among these.

    Each block comes with the number of the row at which the next one begins, and has places.
    """
    parts: list[Clicks] = []
    begun, end = start, start + size
    for next_, clicks in blocks:
        first = 0
        while next_ >= end:
            assert clicks.places is not None
            cut = int(np.searchsorted(clicks.places, end))
            yield joined([*parts, clicks.take(slice(first, cut))])
            parts, first = [], cut
            begun, end = end, end + size
        if next_ > begun:
            parts.append(clicks.take(slice(first, None)))
    if parts:
        yield joined(parts)
