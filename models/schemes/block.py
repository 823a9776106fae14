"""`block`, ours and the default: aligned chunks, and constants of their own for every field and chunk."""

from collections.abc import Sequence
from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import model_validator

from thimble.models.base import Constant
from thimble.models.hashing import HashMap, Int64s
from thimble.models.inputs import Categorical
from thimble.models.quantization import MemoryPrecision
from thimble.models.schemes.base import HashedEmbedding


class BlockEmbedding(HashedEmbedding):
    """Chunks start at multiples of `chunk_size`. `a`, `b` and `s` are [fields, chunks]."""

    prime: ClassVar[int] = (1 << 31) - 1

    scheme: Literal["block"] = "block"
    version: Literal[1] = 1
    a: list[list[Constant]]
    b: list[list[Constant]]
    s: list[list[Constant]]

    @model_validator(mode="after")
    def _whole_slots(self) -> Self:
        if self.memory_length % self.chunk_size:
            raise ValueError(
                f"memory_length {self.memory_length} must be a multiple of chunk_size {self.chunk_size} for block"
            )
        return self

    @classmethod
    def create(
        cls,
        scheme: str,
        fields: Sequence[Categorical],
        dim: int,
        memory_bytes: int,
        precision: MemoryPrecision,
        chunk: int,
        seed: int,
    ) -> Self:
        a, b, s = block_constants(seed, len(fields), -(-dim // chunk)).tolist()
        return cls(memory_length=cls.whole_chunks(memory_bytes, precision, chunk), chunk_size=chunk, a=a, b=b, s=s)

    def check(self, fields: int, dim: int) -> None:
        for letter, table in (("a", self.a), ("b", self.b), ("s", self.s)):
            if len(table) != fields or any(len(row) != self.chunks(dim) for row in table):
                raise ValueError(f"constants {letter} must be [{fields}, {self.chunks(dim)}]")

    def check_precision(self, precision: MemoryPrecision) -> None:
        if precision == "int4" and self.chunk_size % 2:
            raise ValueError(f"int4 embeddings lie two in a byte, so chunk_size {self.chunk_size} must be even")

    def hash_map(self, dim: int) -> HashMap:
        constants = np.array([self.a, self.b, self.s], dtype=np.int64)
        return HashMap(self.prime, self.memory_length // self.chunk_size, self.chunk_size, constants)

    @property
    def memory_shape(self) -> tuple[int, ...]:
        return self.memory_length // self.chunk_size, self.chunk_size

    @property
    def onnx_chunks(self) -> str:
        return """
    slots = Shape <start = 0, end = 1> (memory)
    slot = Mod (hash, slots)
    chunked = Gather <axis = 0> (memory, slot)
"""


def block_constants(seed: int, fields: int, chunks: int) -> Int64s:
    """Random a, b, s in [1, 2^31 - 1), int64 [3, fields, chunks]."""
    return np.random.default_rng(seed).integers(1, BlockEmbedding.prime, size=(3, fields, chunks), dtype=np.int64)
