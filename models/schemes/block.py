"""`block`, ours and the default: aligned chunks, and constants of their own for every field and chunk."""

from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import model_validator

from thimble.models.base import Constant
from thimble.models.directory import LANES, PRIME
from thimble.models.hashing import HashMap, Int64s
from thimble.models.hot_rows import KEY_BYTES, HotDirectory, find
from thimble.models.quantization import MemoryPrecision
from thimble.models.schemes.base import HashedEmbedding, Sizes, Weights


class BlockEmbedding(HashedEmbedding):
    """Chunks start at multiples of `chunk_size`. `a`, `b` and `s` are [fields, chunks].

    In version 2 some ids are `hot` (`thimble.models.hot_rows`). The keys are weights, `hot.keys`.
    """

    prime: ClassVar[int] = (1 << 31) - 1

    scheme: Literal["block"] = "block"
    version: Literal[1, 2] = 1
    a: list[list[Constant]]
    b: list[list[Constant]]
    s: list[list[Constant]]
    hot: HotDirectory | None = None

    @model_validator(mode="after")
    def _whole_slots(self) -> Self:
        if self.memory_length % self.chunk_size:
            raise ValueError(
                f"memory_length {self.memory_length} must be a multiple of chunk_size {self.chunk_size} for block"
            )
        if (self.version == 2) != (self.hot is not None):
            raise ValueError(f"block is of version 2 with hot rows and of version 1 without, not {self.version}")
        return self

    @classmethod
    def create(cls, scheme: str, sizes: Sizes) -> Self:
        chunk = sizes.chunk
        a, b, s = block_constants(sizes.seed, len(sizes.fields), -(-sizes.dim // chunk)).tolist()
        return cls(memory_length=cls.whole_chunks(sizes), chunk_size=chunk, a=a, b=b, s=s)

    def check(self, fields: int, dim: int) -> None:
        for letter, table in (("a", self.a), ("b", self.b), ("s", self.s)):
            if len(table) != fields or any(len(row) != self.chunks(dim) for row in table):
                raise ValueError(f"constants {letter} must be [{fields}, {self.chunks(dim)}]")
        if self.hot is None:
            return
        self.hot.check(fields)
        if (shared := self.shared_slots(dim)) < 1:
            raise ValueError(f"a memory of {self.memory_shape[0]} slots leaves {shared} beside {self.places} hot rows")

    def check_precision(self, precision: MemoryPrecision) -> None:
        if precision == "int4" and self.chunk_size % 2:
            raise ValueError(f"int4 embeddings lie two in a byte, so chunk_size {self.chunk_size} must be even")

    def hash_map(self, dim: int) -> HashMap:
        constants = np.array([self.a, self.b, self.s], dtype=np.int64)
        return HashMap(self.prime, self.shared_slots(dim), self.chunk_size, constants)

    @property
    def places(self) -> int:
        """For hot rows."""
        return self.hot.places if self.hot else 0

    def shared_slots(self, dim: int) -> int:
        """Those that are no hot row's."""
        return self.memory_shape[0] - self.places * self.chunks(dim)

    @property
    def index_bytes(self) -> int:
        """What the keys of the hot rows weigh."""
        return self.places * KEY_BYTES

    def starts(self, weights: Weights, ids: Int64s, dim: int) -> Int64s:
        hashed = super().starts(weights, ids, dim)
        if self.hot is None:
            return hashed
        chunks = self.chunks(dim)
        place = find(self.hot, weights["hot.keys"], ids)[..., None]
        own = (self.shared_slots(dim) + place * chunks + np.arange(chunks)) * self.chunk_size
        return np.where(place < 0, hashed, own)

    @property
    def memory_shape(self) -> tuple[int, ...]:
        return self.memory_length // self.chunk_size, self.chunk_size

    @property
    def op_inputs(self) -> tuple[str, ...]:
        return (*super().op_inputs, "keys", "directory") if self.hot else super().op_inputs

    @property
    def onnx_chunks(self) -> str:
        return f"""
    slots = Shape <start = 0, end = 1> (memory)
{_HOT_SLOTS.format(prime=PRIME, lanes=LANES, each=[*range(LANES)]) if self.hot else _SLOTS}
    chunked = Gather <axis = 0> (memory, slot)
"""


_SLOTS = "    slot = Mod (hash, slots)"
_HOT_SLOTS = """
    key_prime = Constant <value_int = {prime}> ()
    key_a, key_b, key_s, first_bucket, buckets = Split <axis = 0, num_outputs = 5> (directory)
    low_key_a = Mul (low, key_a)
    high_key_b = Mul (high, key_b)
    key_products = Add (low_key_a, high_key_b)
    key_sum = Add (key_products, key_s)
    key_hash = Mod (key_sum, key_prime)
    key = Cast <to = 6> (key_hash)
    key_1 = Unsqueeze (key, last)
    in_field = Mod (key_hash, buckets)
    bucket = Add (first_bucket, in_field)
    lanes = Gather <axis = 0> (keys, bucket)
    found = Equal (lanes, key_1)
    lane_count = Constant <value_int = {lanes}> ()
    lane = Constant <value_ints = {each}> ()
    bucket_1 = Unsqueeze (bucket, last)
    bucket_place = Mul (bucket_1, lane_count)
    lane_place = Add (bucket_place, lane)
    nowhere = Constant <value_int = -1> ()
    found_place = Where (found, lane_place, nowhere)
    choice_and_lane = Constant <value_ints = [2, 3]> ()
    place = ReduceMax <keepdims = 0> (found_place, choice_and_lane)
    place_1 = Unsqueeze (place, last)
    places = Size (keys)
    hot_slots = Mul (places, chunks)
    shared = Sub (slots, hot_slots)
    hashed_slot = Mod (hash, shared)
    chunk_zero = Constant <value_int = 0> ()
    chunk_step = Constant <value_int = 1> ()
    chunk_count = Squeeze (chunks)
    chunk = Range (chunk_zero, chunk_count, chunk_step)
    own_row = Mul (place_1, chunks)
    own_first = Add (own_row, shared)
    own_slot = Add (own_first, chunk)
    is_hashed = Less (place_1, chunk_zero)
    slot = Where (is_hashed, hashed_slot, own_slot)"""


def block_constants(seed: int, fields: int, chunks: int) -> Int64s:
    """Random a, b, s in [1, 2^31 - 1), int64 [3, fields, chunks]."""
    return np.random.default_rng(seed).integers(1, BlockEmbedding.prime, size=(3, fields, chunks), dtype=np.int64)
