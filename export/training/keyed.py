"""A model some of whose ids have rows of their own."""

from typing import NamedTuple

from thimble.models.hashing import Int64s
from thimble.models.spec import ModelSpec


class Keyed(NamedTuple):
    """A spec, and the ids that have a row each, in full tables or as hot ones, by the places of its directory.

    They are int64 [buckets, lanes], None where no id has one.
    """

    spec: ModelSpec
    keys: Int64s | None = None
