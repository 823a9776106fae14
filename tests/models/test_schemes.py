"""The embedding schemes, and what it takes to add one."""

from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
import onnx
import pytest

from testing.lookups import lookup
from testing.samples import SHARED, random_batch, small_spec
from thimble.export.artifact.agreement import prove
from thimble.export.artifact.graph import build
from thimble.models.hashing import HashMap
from thimble.models.inputs import Categorical
from thimble.models.nn.registry import recommender
from thimble.models.quantization import MemoryPrecision, stored_bytes
from thimble.models.schemes import embedding_for
from thimble.models.schemes.base import HashedEmbedding, Sizes
from thimble.models.schemes.full import FullEmbedding, full_rows
from thimble.models.schemes.robe import RobeEmbedding
from thimble.models.spec import ModelSpec


class ModuloEmbedding(HashedEmbedding):
    """A scheme that this test adds: an id's chunks follow each other, all fields alike."""

    prime: ClassVar[int] = 1_000_003

    scheme: Literal["modulo"] = "modulo"
    version: Literal[1] = 1
    fields: int

    @classmethod
    def create(cls, scheme: str, sizes: Sizes) -> Self:
        return cls(memory_length=cls.whole_chunks(sizes), chunk_size=sizes.chunk, fields=len(sizes.fields))

    def check(self, fields: int, dim: int) -> None:
        assert self.fields == fields

    def hash_map(self, dim: int) -> HashMap:
        shape = (self.fields, self.chunks(dim))
        s = np.broadcast_to(np.arange(shape[1]), shape)
        constants = np.stack([np.ones(shape, np.int64), np.zeros(shape, np.int64), s])
        return HashMap(self.prime, self.memory_shape[0], self.chunk_size, constants)

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


class ModuloSpec(ModelSpec):
    """As if it were registered."""

    embedding: ModuloEmbedding  # type: ignore[assignment]


def test_a_scheme_is_one_class(tmp_path: Path) -> None:
    """Numpy, torch and the file's function all follow from it."""
    plain = small_spec()
    embedding = ModuloEmbedding.create("modulo", Sizes(plain.fields, plain.embedding_dim, 4000, "fp32", 8, 0))
    spec = ModuloSpec.model_validate({**plain.model_dump(), "embedding": embedding})
    memory = np.arange(1000, dtype=np.float32)
    assert lookup(spec, memory, np.full((1, 7), 3))[0, 2].tolist() == [*range(24, 44)]
    model = recommender(spec).eval()
    onnx.save_model(build(spec, model), tmp_path / "model.onnx")
    assert prove(tmp_path / "model.onnx", spec, model, random_batch(spec, 8)).rows == 16


def test_unknown_scheme() -> None:
    with pytest.raises(ValueError, match="no scheme 'cuckoo'; there are block, robe-v1, robe-v2, full"):
        embedding_for("cuckoo", [Categorical(name="a", kind="int", rows=3)], 8, 1000, 4, 0)


def test_memory_is_rounded_down_to_whole_chunks_and_must_hold_two() -> None:
    fields = [Categorical(name="a", kind="int", rows=3), Categorical(name="b", kind="string", rows=5)]
    for scheme in SHARED:
        made = embedding_for(scheme, fields, 8, 1003, 16, 0)
        assert isinstance(made, HashedEmbedding)
        assert made.memory_length == 240
        with pytest.raises(ValueError, match="127 bytes does not hold two fp32 chunks of 16 weights"):
            embedding_for(scheme, fields, 8, 127, 16, 0)


@pytest.mark.parametrize(("precision", "length"), [("fp32", 240), ("fp16", 496), ("int8", 992), ("int4", 1984)])
def test_memory_is_counted_in_bytes_as_they_are_stored(precision: MemoryPrecision, length: int) -> None:
    """Of 1,003 bytes the step of integers takes 4."""
    fields = [Categorical(name="a", kind="int", rows=3)]
    made = embedding_for("block", fields, 8, 1003, 16, 0, precision)
    assert isinstance(made, HashedEmbedding)
    assert made.memory_length == length
    assert 1003 - 64 < stored_bytes(length, precision) <= 1003


def test_robe_offsets_and_full_tables() -> None:
    fields = [Categorical(name=f"f{i}", kind="int", rows=n) for i, n in enumerate([3, 5, 7])]
    robe = embedding_for("robe-v2", fields, 8, 1000, 4, 0)
    assert isinstance(robe, RobeEmbedding)
    assert robe.offsets == [0, 3, 8]
    assert embedding_for("full", fields, 8, 1, 4, 0) == FullEmbedding(table_rows=[3, 5, 7])
    assert full_rows(Categorical(name="s", kind="string", rows=5)) == 40
