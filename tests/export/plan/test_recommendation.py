"""What is recommended, and that its reason is the true one."""

import numpy as np
import pytest

from thimble.export.plan.recommendation import Recommendation, recommended
from thimble.export.plan.traffic import Traffic
from thimble.models.architectures.dlrm import DlrmArchitecture
from thimble.models.inputs import Categorical
from thimble.models.presets import chunk_for
from thimble.models.schemes import embedding_for
from thimble.models.spec import ModelSpec


def of_ids(ids: int, dim: int) -> Recommendation:
    """For one field of so many ids, which all come as often."""
    fields = [Categorical(name="user", kind="int", rows=ids)]
    spec = ModelSpec(
        name="users",
        dense=[],
        fields=fields,
        embedding_dim=dim,
        architecture=DlrmArchitecture(dense_arch=[], over_arch=[8, 1]),
        embedding=embedding_for("block", fields, dim, 4096, 1, 0),
    )
    return recommended(spec, Traffic(np.array([1 / ids]), np.array([float(ids)])), ids)


@pytest.mark.parametrize(
    ("dim", "chunk"), [(128, 32), (16, 4), (15, 3), (12, 4), (10, 2), (9, 3), (8, 2), (7, 1), (6, 2)]
)
def test_an_embedding_has_about_four_chunks_which_keep_ids_apart(dim: int, chunk: int) -> None:
    found = of_ids(200_000, dim)
    assert found.precision == ("int8" if dim % 2 else "int4")
    assert found.chunk_size == chunk
    assert (
        found.chunk_reason
        == f"{dim // chunk} reads for an embedding, and less than one id in a thousand has another one's"
    )
    if dim % 2 == 0:
        assert chunk == chunk_for(dim) or dim % chunk_for(dim)


@pytest.mark.parametrize(("dim", "chunk"), [(1, 1), (2, 2)])
def test_where_no_chunk_keeps_embeddings_apart_it_is_the_smallest(dim: int, chunk: int) -> None:
    found = of_ids(200_000, dim)
    assert found.chunk_size == chunk
    assert found.chunk_reason.startswith(f"the smallest there is for {found.precision}, 1 read for an embedding: ")


@pytest.mark.parametrize(
    ("ids", "memory", "reason"),
    [
        (1000, 64_000, "full tables have no more"),
        (5000, 65_536, "less than 65.5 kB is not worth making smaller, and with it other ids have "),
        (
            20_000,
            128_000,
            "a tenth of full tables: other ids would have 10% of what trains a read",
        ),
    ],
)
def test_bytes_have_their_true_reason(ids: int, memory: int, reason: str) -> None:
    found = of_ids(ids, 16)
    assert found.memory_bytes == memory
    assert found.memory_reason.startswith(reason)
