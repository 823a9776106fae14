"""What an embedding scheme is, and the operator that looks hashed embeddings up."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from thimble.models.bags import Bag, Pooling
from thimble.models.base import Frozen, Positive
from thimble.models.hashing import Floats, HashMap, Int64s
from thimble.models.inputs import Categorical
from thimble.models.quantization import MemoryPrecision, dequantize, is_quantized, weights_in

OP_DOMAIN, OP_NAME = "thimble", "HashLookup"
# what the node says of a field's pooling; 0 is that of a single-valued one
_POOLINGS: dict[Pooling, int] = {"sum": 1, "mean": 2, "max": 3}

Weights = Mapping[str, npt.NDArray[Any]]
"""A torch module's state dict in numpy."""


class Sizes(NamedTuple):
    """What an untrained embedding follows from.

    It takes at most `memory_bytes` at this precision, of which `chunk` weights are read at a place.
    """

    fields: Sequence[Categorical]
    dim: int
    memory_bytes: int
    precision: MemoryPrecision
    chunk: int
    seed: int


def bag_attributes(bags: Sequence[Bag | None]) -> dict[str, list[int]]:
    """Of the node: the columns of `ids` that each field has, and how they are pooled. Without bags it has neither."""
    if not any(bags):
        return {}
    return {
        "values": [bag.values if bag else 1 for bag in bags],
        "pooling": [_POOLINGS[bag.pooling] if bag else 0 for bag in bags],
    }


class EmbeddingScheme(Frozen, ABC):
    """How ids become embeddings. A subclass is one scheme, or several that differ in constants alone."""

    scheme: str
    version: int

    @abstractmethod
    def check(self, fields: int, dim: int) -> None:
        """ValueError: it is not one for so many fields and this dimension."""

    def check_precision(self, precision: MemoryPrecision) -> None:
        """ValueError: weights cannot be stored so."""
        if is_quantized(precision):
            raise ValueError(f"{precision} embeddings are for scheme block; {self.scheme} takes fp32 and fp16")

    @abstractmethod
    def weights(self, dim: int) -> int:
        """Numbers that are trained."""

    @abstractmethod
    def lookup(self, weights: Weights, ids: Int64s, dim: int) -> Floats:
        """ids [batch, fields] -> embeddings [batch, fields, dim], from the weights of its torch module, in float32.

        What float16 weights hold is widened, which changes no value. Those that are integers come with their `step`.
        """


class HashedEmbedding(EmbeddingScheme):
    """One memory that every field reads in chunks at hashed places.

    The torch module is `thimble.models.nn.embeddings.SharedMemory`, for each of them; in a file it is one node
    `thimble::HashLookup`.
    """

    prime: ClassVar[int]

    memory_length: Positive
    chunk_size: Positive

    @classmethod
    @abstractmethod
    def create(cls, scheme: str, sizes: Sizes) -> Self:
        """An untrained embedding. ValueError: too few bytes."""

    @abstractmethod
    def hash_map(self, dim: int) -> HashMap:
        """Where the chunks lie, for embeddings of this dimension."""

    @property
    @abstractmethod
    def memory_shape(self) -> tuple[int, ...]:
        """[slots, chunk_size] where chunks are aligned, so that one is a row, else [memory_length]."""

    @property
    @abstractmethod
    def onnx_chunks(self) -> str:
        """ONNX nodes, as text, that make `chunked` [batch, fields, chunks, chunk_size] of `memory` and `hash`.

        `hash` [batch, fields, chunks] is the sum modulo `prime`. Of a quantized memory `chunked` are its bytes, as many
        as a slot has. The nodes around them, whose results may be used too, are in
        `thimble.export.artifact.lookup_function`; so may be the `op_inputs`.
        """

    def chunks(self, dim: int) -> int:
        """Chunks that make up one embedding."""
        return -(-dim // self.chunk_size)

    @property
    def op_inputs(self) -> tuple[str, ...]:
        """Of the node."""
        return "ids", "memory", "constants"

    def op_attributes(self, dim: int) -> dict[str, str | int]:
        """Of the node: they say to any runtime which map it is."""
        return {"scheme": self.scheme, "version": self.version, "chunk_size": self.chunk_size, "dim": dim}

    def weights(self, dim: int) -> int:
        return self.memory_length

    def starts(self, weights: Weights, ids: Int64s, dim: int) -> Int64s:
        """ids [batch, fields] -> the first memory index of every chunk, [batch, fields, chunks]."""
        return self.hash_map(dim).starts(ids)

    def lookup(self, weights: Weights, ids: Int64s, dim: int) -> Floats:
        memory, starts = weights["memory"], self.starts(weights, ids, dim)
        if "step" in weights:  # a slot is a row of bytes
            bits = 8 * memory.shape[1] // self.chunk_size
            chunks = dequantize(memory[starts // self.chunk_size], weights["step"], bits)
        else:
            chunks = memory.ravel()[starts[..., None] + np.arange(self.chunk_size)]
        joined = chunks.reshape(*ids.shape, self.chunks(dim) * self.chunk_size)
        embeddings: Floats = joined[..., :dim].astype(np.float32)
        return embeddings

    @staticmethod
    def whole_chunks(sizes: Sizes) -> int:
        """The weights that the bytes hold, rounded down to whole chunks. ValueError: not even two chunks."""
        chunk = sizes.chunk
        length = weights_in(sizes.memory_bytes, sizes.precision) // chunk * chunk
        if length <= chunk:
            raise ValueError(
                f"a memory of {sizes.memory_bytes} bytes does not hold two {sizes.precision} chunks of {chunk} weights"
            )
        return length
