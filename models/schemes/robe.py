"""`robe-v1` and `robe-v2`: the two maps published with ROBE (MLSys 2022), bit for bit.

One multiplier for all fields, and chunks that start anywhere. Over x = offset[f] + id the published formulas are

    v1: start = ((x * R3 + c * R2 + R1) mod P) mod (M - Z + 1)
    v2: start = ((x * R1 + (c + 1) * R2 + R3) mod P) mod (M - Z)

They are rewritten into a, b and s; modulo the prime they are equal.
"""

from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from thimble.models.base import Constant
from thimble.models.hashing import ID_LIMIT, LOW, HashMap
from thimble.models.schemes.base import HashedEmbedding, Sizes

# R1, R2, R3 as the authors' code draws them from its default seed 1024.
ROBE_CONSTANTS = (634329019, 1825252241, 871205356)


class RobeEmbedding(HashedEmbedding):
    """Kept so that checkpoints trained with the published maps can be served.

    `constants` are the authors' R1, R2 and R3; `offsets` is where each field's indices start in the joint table.
    """

    prime: ClassVar[int] = 2038074743

    scheme: Literal["robe-v1", "robe-v2"]
    version: Literal[1] = 1
    constants: tuple[Constant, Constant, Constant]
    offsets: list[Annotated[int, Field(ge=0, lt=ID_LIMIT)]]

    @model_validator(mode="after")
    def _room_for_a_chunk(self) -> Self:
        if self.memory_length <= self.chunk_size:
            raise ValueError(f"memory_length {self.memory_length} must exceed chunk_size {self.chunk_size}")
        return self

    @classmethod
    def create(cls, scheme: Any, sizes: Sizes) -> Self:
        starts = [sum(field.rows for field in sizes.fields[:f]) for f in range(len(sizes.fields))]
        return cls(
            scheme=scheme,
            memory_length=cls.whole_chunks(sizes),
            chunk_size=sizes.chunk,
            constants=ROBE_CONSTANTS,
            offsets=starts,
        )

    def check(self, fields: int, dim: int) -> None:
        if len(self.offsets) != fields:
            raise ValueError(f"{len(self.offsets)} offsets for {fields} fields")

    def hash_map(self, dim: int) -> HashMap:
        r1, r2, r3 = self.constants
        multiplier, first, shift = (r3, 0, r1) if self.scheme == "robe-v1" else (r1, 1, r3)
        s = [
            [(offset * multiplier + (c + first) * r2 + shift) % self.prime for c in range(self.chunks(dim))]
            for offset in self.offsets
        ]
        a = np.full((len(self.offsets), self.chunks(dim)), multiplier % self.prime, dtype=np.int64)
        b = np.full_like(a, LOW * multiplier % self.prime)
        slots = self.memory_length - self.chunk_size + self._beyond
        return HashMap(self.prime, slots, 1, np.stack([a, b, np.array(s, dtype=np.int64)]))

    @property
    def memory_shape(self) -> tuple[int, ...]:
        return (self.memory_length,)

    @property
    def onnx_chunks(self) -> str:
        return f"""
    chunk = Constant <value_int: int = @chunk_size> ()
    length = Shape (memory)
    room = Sub (length, chunk)
    lacking = Constant <value_int = {self._beyond}> ()
    slots = Add (room, lacking)
    start = Mod (hash, slots)
    start_1 = Unsqueeze (start, last)
    from = Constant <value_int = 0> ()
    step = Constant <value_int = 1> ()
    within = Range (from, chunk, step)
    position = Add (start_1, within)
    chunked = Gather <axis = 0> (memory, position)
"""

    @property
    def _beyond(self) -> int:
        """Places for a chunk beyond M - Z: the second map leaves out the last one."""
        return 1 if self.scheme == "robe-v1" else 0
