"""Where an id lies among those that have a place. Every backend must equal this numpy definition bit for bit.

A directory is a cuckoo hash table with two choices (Pagh & Rodler, J. Algorithms 2004) among buckets of four ids
(Dietzfelbinger & Weidling, TCS 2007). Each field has buckets of its own, so ids need not be told apart by field. Its
id (0 <= id < 2^60) lies in one of the buckets

    bucket[f, c] = first[f] + hash[f, c] mod buckets[f],    c = 0, 1

with the hash of `thimble.models.hashing`, or nowhere. So eight comparisons find it or show that it is absent, without a
branch. What belongs to an id is kept at its place, `4 * bucket + lane`, and nothing else has to be stored.
"""

import math
from collections.abc import Sequence
from typing import Annotated, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from thimble.models.base import Constant, Frozen
from thimble.models.hashing import ID_LIMIT, Int64s, hashes

ID_BYTES = 8
LANES = 4
"""Ids in a bucket, which is 32 bytes, so none lies across two cache lines."""
CHOICES = 2
PRIME = (1 << 31) - 1
NO_ID = -1
"""In lanes that are free."""
LOAD = 15 / 16
"""Share of the lanes that are taken; with two choices among buckets of four, 0.976 is the most that can be."""
ROUNDS = 1000
"""After which other constants are tried. Ten million ids take some 260."""


class Directory(Frozen):
    """The buckets of every field, and the constants of their hashes, [fields, choices] each."""

    buckets: list[Annotated[int, Field(gt=0, lt=PRIME)]]
    a: list[list[Constant]]
    b: list[list[Constant]]
    s: list[list[Constant]]

    def check(self, fields: int) -> None:
        """ValueError: it is not one for so many fields."""
        if len(self.buckets) != fields:
            raise ValueError(f"buckets of {len(self.buckets)} fields for {fields} fields")
        for letter, table in (("a", self.a), ("b", self.b), ("s", self.s)):
            if len(table) != fields or any(len(row) != CHOICES for row in table):
                raise ValueError(f"constants {letter} must be [{fields}, {CHOICES}]")

    @property
    def places(self) -> int:
        """Of all fields together."""
        return sum(self.buckets) * LANES

    def of_field(self, field: int) -> "Directory":
        """The directory of one field alone."""
        a, b, s = ([table[field]] for table in (self.a, self.b, self.s))
        return Directory(buckets=[self.buckets[field]], a=a, b=b, s=s)

    def constants(self) -> Int64s:
        """a, b and s, int64 [3, fields, choices]."""
        return np.array([self.a, self.b, self.s], dtype=np.int64)

    def ranges(self) -> Int64s:
        """The first bucket of every field and how many there are, int64 [2, fields, 1]."""
        return np.stack([np.cumsum([0, *self.buckets[:-1]]), self.buckets])[..., None]

    def hashes(self, ids: Int64s) -> Int64s:
        """ids [batch, fields] -> [batch, fields, choices], each below PRIME."""
        return hashes(ids, self.constants(), PRIME)

    def choices(self, ids: Int64s) -> Int64s:
        """ids [batch, fields] -> the buckets in which they may lie, [batch, fields, choices]."""
        return self.buckets_of(self.hashes(ids))

    def buckets_of(self, hashed: Int64s) -> Int64s:
        """Hashes [batch, fields, choices] -> their buckets."""
        first, buckets = self.ranges()
        chosen: Int64s = first + hashed % buckets
        return chosen

    def find(self, keys: Int64s, ids: Int64s) -> Int64s:
        """ids [batch, fields] -> their places, or -1 for those that have none. `keys` are the ids [buckets, lanes]."""
        bucket = self.choices(ids)
        return places_of(bucket, keys[bucket] == ids[..., None, None])


def places_of(bucket: Int64s, same: npt.NDArray[np.bool_]) -> Int64s:
    """The largest place, or -1, of those in buckets [batch, fields, choices] that are the `same` in lanes of them."""
    places: Int64s = np.where(same, bucket[..., None] * LANES + np.arange(LANES), -1).max((2, 3))
    return places


class Filled(NamedTuple):
    """A directory and the ids in it, int64 [buckets, lanes], where free lanes hold NO_ID."""

    directory: Directory
    keys: Int64s


def fill(ids: Sequence[Int64s]) -> Filled:
    """A directory of each field's ids, int64 [ids], in any order. The same ids give the same one.

    ValueError: an id is none, 0 <= id < 2^60.
    """
    fields = [_fill_field(np.unique(of_field), np.random.default_rng(f)) for f, of_field in enumerate(ids)]
    a, b, s = np.concatenate([directory.constants() for directory, _ in fields], axis=1).tolist()
    buckets = [len(keys) for _, keys in fields]
    return Filled(Directory(buckets=buckets, a=a, b=b, s=s), np.concatenate([keys for _, keys in fields]))


def _fill_field(ids: Int64s, random: np.random.Generator) -> Filled:
    """One field's directory. It grows a little with every draw of constants that leaves no way to place all ids."""
    if len(ids) and not 0 <= ids[0] <= ids[-1] < ID_LIMIT:
        raise ValueError(f"ids must be from 0 to 2^60 - 1, not {ids[0]} to {ids[-1]}")
    buckets = max(1, math.ceil(len(ids) / (LANES * LOAD)))
    while True:
        a, b, s = random.integers(1, PRIME, size=(3, 1, CHOICES), dtype=np.int64).tolist()
        directory = Directory(buckets=[buckets], a=a, b=b, s=s)
        keys = placed(directory, ids, random)
        if keys is not None:
            return Filled(directory, keys)
        buckets += 1 + buckets // 64


def placed(directory: Directory, ids: Int64s, random: np.random.Generator) -> Int64s | None:
    """Different ids in the buckets of one field's directory, [buckets, lanes]. None: no way found."""
    lying = _place(directory.choices(ids[:, None])[:, 0], directory.buckets[0], random)
    return None if lying is None else np.append(ids, NO_ID)[lying]  # -1, where none lies, is the last


def _place(choices: Int64s, buckets: int, random: np.random.Generator) -> Int64s | None:
    """Which id lies where, by its number, [buckets, lanes], -1 where none; `choices` are [ids, 2]. None: no way found.

    A random walk of all ids at once (Fotakis et al., TCS 2005): in every round those that lie nowhere go to a bucket,
    where they take free lanes first and then others', and whoever has to leave goes to its other bucket.
    """
    lying = np.full((buckets, LANES), -1)
    choice = np.zeros(len(choices), dtype=np.int8)
    waiting = np.arange(len(choices))
    for _ in range(ROUNDS):
        if not len(waiting):
            return lying
        bucket = choices[waiting, choice[waiting]]
        order = np.argsort(bucket, kind="stable")
        waiting, bucket = waiting[order], bucket[order]
        entered, starts, arrivals = np.unique(bucket, return_index=True, return_counts=True)
        visit = np.repeat(np.arange(len(entered)), arrivals)  # of each waiting id: the number of its bucket's row below
        turn = np.arange(len(waiting)) - starts[visit]  # within its bucket
        shuffled = (np.arange(LANES) + random.integers(LANES, size=(len(entered), 1))) % LANES
        lanes = np.argsort(np.where(lying[entered] < 0, shuffled, LANES + shuffled), axis=1)  # free ones first
        enters = turn < LANES
        places = bucket[enters], lanes[visit[enters], turn[enters]]
        left = lying[places]
        lying[places] = waiting[enters]
        waiting = np.concatenate([left[left >= 0], waiting[~enters]])
        choice[waiting] ^= 1
    return None
