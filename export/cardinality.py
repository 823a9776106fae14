"""How many different ids each field has, in one pass and constant memory."""

import math

import numpy as np

from thimble.export.clicks import ClickSource
from thimble.models.spec import ModelSpec

# Two MiB a field; the estimate stays within about 1 % up to some 50 million different ids.
_BITS = 1 << 24
_MIX = np.uint64(0x9E3779B97F4A7C15)


def count_ids(source: ClickSource, spec: ModelSpec) -> list[int]:
    """Different ids of each field, by linear counting (Whang et al., ACM TODS 1990): exact when there are few."""
    seen = np.zeros((len(spec.fields), _BITS // 8), dtype=np.uint8)
    for clicks in source.read(0, source.count(), 4096):
        for f, ids in enumerate(clicks.batch.ids.T):
            mixed = (ids.astype(np.uint64) * _MIX) >> np.uint64(40)
            np.bitwise_or.at(seen[f], (mixed >> np.uint64(3)).astype(np.int64), _bit(mixed))
    return [max(1, _estimate(int(np.bitwise_count(bits).sum()))) for bits in seen]


def _bit(mixed: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    return np.left_shift(np.uint8(1), (mixed & np.uint64(7)).astype(np.uint8))


def _estimate(ones: int) -> int:
    empty = max(1, _BITS - ones)
    return round(-_BITS * math.log(empty / _BITS))
