import numpy as np
import pytest

from thimble.models.bags import Bag, Pooling
from thimble.models.hashing import Floats
from thimble.models.inputs import Categorical
from thimble.models.pooling import pooled_lookup
from thimble.models.schemes import embedding_for
from thimble.models.schemes.base import HashedEmbedding


@pytest.mark.parametrize("scheme", ["block", "robe-v1", "robe-v2"])
@pytest.mark.parametrize("pooling", ["sum", "mean", "max"])
def test_a_bag_is_pooled_over_its_ids(scheme: str, pooling: Pooling) -> None:
    bag = Bag(values=3, pooling=pooling)
    fields = [Categorical(name=name, kind="int", rows=9) for name in "abc"]
    embedding = embedding_for(scheme, fields, 8, 4096, 4, seed=1)
    assert isinstance(embedding, HashedEmbedding)
    memory = np.random.default_rng(0).normal(size=embedding.memory_shape).astype(np.float32)
    weights = {"memory": memory}
    ids = np.array([[5, 7, 0, 9, 3], [0, 0, 0, 0, 0], [5, 7, 7, 2, 4]])
    found = pooled_lookup(embedding, weights, ids, 8, [None, bag, None])

    def alone(a: int, b: int, c: int) -> Floats:
        found: Floats = embedding.lookup(weights, np.array([[a, b, c]]), 8)[0]
        return found

    def one(embeddings: list[Floats]) -> Floats:
        together = np.stack(embeddings)
        pooled: Floats = {"sum": together.sum(0), "mean": together.mean(0), "max": together.max(0)}[pooling]
        return pooled

    expected = [
        [alone(5, 0, 3)[0], one([alone(0, 7, 0)[1], alone(0, 9, 0)[1]]), alone(5, 0, 3)[2]],
        [alone(0, 0, 0)[0], np.zeros(8), alone(0, 0, 0)[2]],
        [alone(5, 0, 4)[0], one([alone(0, id, 0)[1] for id in (7, 7, 2)]), alone(5, 0, 4)[2]],
    ]
    np.testing.assert_allclose(found, np.array(expected, np.float32), rtol=1e-6, atol=1e-7)
    assert found.dtype == np.float32
