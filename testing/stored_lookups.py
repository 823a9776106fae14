"""Lookups in memories of every kind of number, with and without hot rows: the operator alone, and numpy written out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from testing.lookups import STEP
from thimble.export.artifact.graph import IR_VERSION
from thimble.export.artifact.lookup_function import OPSET
from thimble.models.directory import LANES, PRIME, fill
from thimble.models.hashing import Floats, Int64s, hashes
from thimble.models.quantization import dequantize
from thimble.models.schemes.base import OP_DOMAIN, OP_NAME
from thimble.models.schemes.block import block_constants


class Hot(NamedTuple):
    """What finds ids that have rows of their own: int32 [buckets, 4] and int64 [5, fields, 2]."""

    keys: npt.NDArray[np.int32]
    directory: Int64s

    def places(self, ids: Int64s) -> Int64s:
        """ids [batch, fields] -> their places, -1 of those that have none."""
        *constants, first, count = self.directory
        hashed = hashes(ids, np.array(constants), PRIME)  # [batch, fields, choices]
        bucket = first + hashed % count
        place = bucket[..., None] * LANES + np.arange(LANES)
        found: Int64s = np.where(self.keys[bucket] == hashed[..., None], place, -1).max((2, 3))
        return found


def hot(ids: Sequence[Int64s]) -> Hot:
    """For these ids of each field. A key is the hash by which its id lies where it does."""
    filled, lying = fill(ids)
    constants = filled.constants()
    first, count = np.broadcast_to(filled.ranges(), (2, *constants.shape[1:]))
    field = np.repeat(np.arange(len(ids)), filled.buckets)
    hashed = hashes(np.maximum(lying, 0).T, constants[:, field], PRIME)  # [lanes, buckets, choices]
    here = first[field] + hashed % count[field] == np.arange(len(lying))[:, None]
    keys = np.where(lying < 0, -1, np.where(here[..., 0], hashed[..., 0], hashed[..., 1]).T)
    return Hot(keys.astype(np.int32), np.concatenate([constants, [first, count]]))


@dataclass
class StoredLookup:
    """One node's attributes and weights. `bits` are a stored number's, `shared` the slots that are no hot row's."""

    bits: int
    chunk: int
    dim: int
    fields: int
    shared: int
    hot: Hot | None = None

    def __post_init__(self) -> None:
        random = np.random.default_rng(self.chunk)
        self.chunks = -(-self.dim // self.chunk)
        slots = self.shared + (self.hot.keys.size * self.chunks if self.hot else 0)
        self.constants = block_constants(1, self.fields, self.chunks)
        self.memory: npt.NDArray[Any]
        if self.bits <= 8:
            self.memory = random.integers(0, 256, (slots, self.chunk * self.bits // 8), np.uint8)
        else:
            self.memory = random.normal(size=(slots, self.chunk)).astype(f"float{self.bits}")

    def expected(self, ids: Int64s) -> Floats:
        """ids [batch, fields] -> [batch, fields, dim], by numpy."""
        slots = hashes(ids, self.constants, PRIME) % self.shared
        if self.hot:
            place = self.hot.places(ids)[..., None]
            slots = np.where(place < 0, slots, self.shared + place * self.chunks + np.arange(self.chunks))
        chunks = self.memory[slots]
        floats = dequantize(chunks, STEP, self.bits) if self.bits <= 8 else chunks.astype(np.float32)
        return np.ascontiguousarray(floats.reshape(*ids.shape, self.chunks * self.chunk)[..., : self.dim])

    def model(self, **changes: Any) -> onnx.ModelProto:
        """`ids` in, embeddings out, no function. `changes` are to attributes, or to inputs: None leaves one out."""
        inputs: dict[str, Any] = {"memory": self.memory, "constants": self.constants}
        inputs |= self.hot._asdict() if self.hot else {}
        inputs |= {name: changes.pop(name) for name in ("memory", *Hot._fields) if name in changes}
        attributes: dict[str, Any] = {"scheme": "block", "version": 2 if self.hot else 1}
        attributes |= {"chunk_size": self.chunk, "dim": self.dim}
        attributes |= {"bits": self.bits, "step": float(STEP)} if self.bits <= 8 else {}
        names = ["ids", *(name if value is not None else "" for name, value in inputs.items())]
        while not names[-1]:
            names.pop()
        node = helper.make_node(OP_NAME, names, ["out"], domain=OP_DOMAIN, **attributes | changes)
        graph = helper.make_graph(
            [node],
            "lookup",
            [helper.make_tensor_value_info("ids", onnx.TensorProto.INT64, ["batch", self.fields])],
            [helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, ["batch", self.fields, self.dim])],
            [numpy_helper.from_array(value, name) for name, value in inputs.items() if value is not None],
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(OP_DOMAIN, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
