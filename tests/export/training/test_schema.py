"""How much memory a model of one's own columns has."""

from collections.abc import Sequence

import pytest

from thimble.export.training.schema import OwnModel, default_memory
from thimble.models.inputs import Categorical
from thimble.models.schemes.base import HashedEmbedding


def fields(*rows: int) -> Sequence[Categorical]:
    return [Categorical(name=f"f{i}", kind="int", rows=n) for i, n in enumerate(rows)]


@pytest.mark.parametrize(
    ("rows", "memory"),
    [
        ((1,), 128),  # two embeddings
        ((30, 12), 42 * 64),  # as much as the tables
        ((1024,), 65_536),
        ((5000,), 65_536),
        ((100_000, 50_000), 960_000),  # a tenth
        ((10**9,), 10_000_000),
    ],
)
def test_memory_is_in_proportion_to_the_tables(rows: Sequence[int], memory: int) -> None:
    assert default_memory(fields(*rows), dim=16, chunk=8) == memory


def test_there_is_room_for_two_embeddings_of_any_size() -> None:
    assert default_memory(fields(1), dim=20, chunk=8) == 2 * 24 * 4


def test_an_embedding_lies_in_four_chunks_where_nothing_is_said() -> None:
    spec = OwnModel(dense=[], fields={"int": ["user", "item"]}).spec({"user": 944, "item": 1683})
    assert isinstance(spec.embedding, HashedEmbedding)
    assert spec.embedding.chunks(spec.embedding_dim) == 4
