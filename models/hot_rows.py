"""Which slots of a memory are an id's own. Every backend must equal this numpy definition bit for bit.

A hot row is an embedding whose chunks one id alone reads. The rows of all places of a directory
(`thimble.models.directory`) lie at the end of the memory, so that an id at place p reads as its chunk c the slot

    shared + p * chunks + c,    shared = slots - places * chunks

All others read the first `shared` slots, at hashed places. The directory's keys are not ids but their hashes, which are
half as long: a row of 16 weights of 4 bits weighs no more than an id. A lane holds the hash, of the choice by which its
id lies in this bucket. Of the hot ids of a field no two have the same one (`hot_keys`); any other id has one of theirs
by chance, once in 2^31 for each of them, and then reads that one's row.
"""

import numpy as np
import numpy.typing as npt

from thimble.models.base import Share
from thimble.models.directory import LANES, NO_ID, PRIME, Directory, places_of
from thimble.models.hashing import Int64s, hashes

Keys = npt.NDArray[np.int32]
KEY_BYTES = 4


class HotDirectory(Directory):
    """Where hot ids lie. They were so many in the training data, and `reads` is the share of its ids that were theirs.

    A row that reads an id once in each of its fields has as many reads as fields.
    """

    ids: int
    reads: Share

    def tensor(self) -> Int64s:
        """What the operator takes: a, b, s, first bucket and number of buckets, int64 [5, fields, choices]."""
        constants = self.constants()
        ranges = np.broadcast_to(self.ranges(), (2, *constants.shape[1:]))
        return np.concatenate([constants, ranges])


def find(directory: Directory, keys: Keys, ids: Int64s) -> Int64s:
    """ids [batch, fields] -> their places, or -1 for those that have none. `keys` are int32 [buckets, lanes]."""
    hashed = directory.hashes(ids)
    bucket = directory.buckets_of(hashed)
    return places_of(bucket, keys[bucket] == hashed[..., None])


def hot_keys(directory: Directory, lying: Int64s) -> Keys:
    """The keys of ids that lie in buckets [buckets, lanes], NO_ID where none does.

    Ids of a field with a hash in common are none of them hot: they get no key. It takes tens of thousands for that.
    """
    field = np.repeat(np.arange(len(directory.buckets)), directory.buckets)
    first, buckets = directory.ranges()[:, field]
    known = np.where(lying < 0, 0, lying).T  # [lanes, buckets]
    hashed = hashes(known, directory.constants()[:, field], PRIME)  # [lanes, buckets, choices]
    bucket = first + hashed % buckets
    here = np.arange(len(lying))
    of_choice = np.where(bucket[..., 0] == here, hashed[..., 0], hashed[..., 1])
    keys = np.where(lying < 0, NO_ID, of_choice.T).astype(np.int32)
    found = places_of(bucket, keys[bucket] == hashed[..., None])
    own = here * LANES + np.arange(LANES)[:, None]
    alike = (found != own) & (lying.T >= 0)
    keys.ravel()[np.concatenate([own[alike], found[alike]])] = NO_ID
    return keys
