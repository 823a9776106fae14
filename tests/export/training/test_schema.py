"""How much memory a model of one's own columns has."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from thimble.export.training.schema import OwnModel, default_memory, preset_spec
from thimble.models.inputs import Categorical
from thimble.models.presets import preset
from thimble.models.schemes.base import HashedEmbedding


def fields(*rows: int) -> Sequence[Categorical]:
    return [Categorical(name=f"f{i}", kind="int", rows=n) for i, n in enumerate(rows)]


@pytest.mark.parametrize(
    ("rows", "memory"),
    [
        ((1,), 64),  # as much as the tables
        ((30, 12), 42 * 64),
        ((1024,), 65_536),
        ((5000,), 65_536),
        ((100_000, 50_000), 960_000),  # a tenth
        ((10**9,), 10_000_000),
    ],
)
def test_memory_is_in_proportion_to_the_tables(rows: Sequence[int], memory: int) -> None:
    assert default_memory(fields(*rows), dim=16, chunk=8, precision="int4") == memory


def test_there_is_room_for_two_embeddings_of_any_size() -> None:
    assert default_memory(fields(1), dim=20, chunk=8, precision="fp32") == 2 * 24 * 4
    assert default_memory(fields(1), dim=1, chunk=4, precision="int4") == 2 * 4 // 2 + 4  # more than the table's 4


@pytest.mark.parametrize("rows", [1, 42, 5000, 100_000, 10**9])
def test_few_bits_are_more_weights_and_no_more_bytes(rows: int) -> None:
    own = OwnModel(dense=[], fields={"int": ["user"]})
    few, many = (replace(own, precision=precision).spec({"user": rows}) for precision in ("fp32", None))
    assert many.precision.memory == "int4"
    assert many.embedding_bytes <= min(few.embedding_bytes, many.full_table_bytes)
    assert many.embedding.weights(16) > (7.9 if rows > 1 else 3) * few.embedding.weights(16)


@pytest.mark.parametrize(
    ("scheme", "precision"), [("block", "int4"), ("robe-v1", "fp32"), ("robe-v2", "fp32"), ("full", "fp32")]
)
def test_the_precision_follows_from_the_scheme(scheme: str, precision: str) -> None:
    own = OwnModel(dense=[], fields={"int": ["user"]}, scheme=scheme).spec({"user": 100})
    shape = preset_spec("criteo-kaggle", None, scheme, None, None, 0)
    assert own.precision.memory == shape.precision.memory == precision
    if scheme != "full":
        assert shape.embedding_bytes == preset("criteo-kaggle").embedding_bytes


def test_an_embedding_lies_in_four_chunks_where_nothing_is_said() -> None:
    spec = OwnModel(dense=[], fields={"int": ["user", "item"]}).spec({"user": 944, "item": 1683})
    assert isinstance(spec.embedding, HashedEmbedding)
    assert spec.embedding.chunks(spec.embedding_dim) == 4
