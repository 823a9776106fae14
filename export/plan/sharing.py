"""What ids share in a shared memory: formulas, each with its derivation in docs/theory.md and a test by simulation."""

import math
from typing import NamedTuple

import numpy as np

from thimble.export.plan.traffic import Doubles, Traffic
from thimble.models.schemes.base import HashedEmbedding
from thimble.models.schemes.block import BlockEmbedding

# Gaps between two reads of an id are looked at from a hundredth of the shortest mean one to fifty of the longest.
_GAPS = 1000


class Places(NamedTuple):
    """The ways in which an id's chunks can lie in the memory, which are as likely as not within each of some classes.

    `shares` [classes] are the classes' probabilities. Each has exp(`log_ways`) ways.
    """

    shares: Doubles
    log_ways: float

    @classmethod
    def independent(cls, chunks: int, slots: int) -> "Places":
        """Each chunk in any slot, whatever the others' are."""
        return cls(np.ones(1), chunks * math.log(slots))


def places(embedding: HashedEmbedding, dim: int) -> Places:
    """In how many ways the chunks of one embedding can lie.

    `block`: each chunk in any slot by itself. ROBE's maps: the first chunk's start decides where the others begin, up
    to where the sums of its hash pass the prime, which is one class for each chunk.
    """
    hash_map = embedding.hash_map(dim)
    if isinstance(embedding, BlockEmbedding):
        return Places.independent(embedding.chunks(dim), hash_map.slots)
    wraps = np.sort(hash_map.constants[2, 0])  # of one field; all have the same differences between chunks
    gaps = np.diff(wraps, append=wraps[0] + hash_map.prime)
    return Places(gaps / hash_map.prime, math.log(hash_map.slots))


def slot_load(ids: float, embedding: HashedEmbedding, dim: int) -> float:
    """Embeddings that read each weight of the memory, on average."""
    return ids * spread(embedding, dim)


def spread(embedding: HashedEmbedding, dim: int) -> float:
    """The share of the memory that one embedding reads: the chance that it reads a given weight.

    Of `block` the mean, where chunks do not divide the dimension: what a slot begins with is read more often.
    """
    return dim / embedding.memory_length


def all_shared(where: Places) -> float:
    """The chance that two ids have the same embedding, as they share all their chunks."""
    return float((where.shares**2).sum() * np.exp(-where.log_ways))


def distinct_embeddings(ids: float, where: Places) -> float:
    """Different embeddings that so many ids are expected to have."""
    loads = ids * where.shares * np.exp(-where.log_ways)
    taken = np.divide(-np.expm1(-loads), loads, out=np.ones_like(loads), where=loads > 0)
    return float(ids * where.shares @ taken)


class ReadGaps:
    """How far apart two reads of an id lie, and how many other ids come in between: all of traffic that sharing needs.

    `traffic` is that of the ids which read the memory.
    """

    def __init__(self, traffic: Traffic) -> None:
        if not len(traffic.rates):
            self._shares = self._distinct = np.zeros(1)
            return
        gaps = np.geomspace(0.01 / traffic.rates.max(), 50 / traffic.rates.min(), _GAPS)
        unread = np.exp(-np.multiply.outer(gaps, traffic.rates))
        longer = unread @ (traffic.rates * traffic.ids) / traffic.reads  # the share of the reads that end such a gap
        self._shares = -np.diff(longer, prepend=1.0, append=0.0)
        self._distinct = traffic.total_ids - np.append(traffic.total_ids, unread @ traffic.ids)

    def shared_share(self, spread: float) -> float:
        """The share of what trains a read weight that comes from other ids than the one that reads it.

        Reads count as often as they come. `spread` is the chance that an id reads a given weight. No ids: 0.
        """
        untouched = np.exp(-spread * self._distinct)
        between = (untouched + np.append(untouched[1:], untouched[-1])) / 2
        return float(self._shares @ (1 - between))
