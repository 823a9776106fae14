import numpy as np
import pytest
import torch
from torch import nn

from testing.samples import SCHEMES, SHARED, random_batch, small_spec
from thimble.export.artifact.agreement import numpy_scores
from thimble.models.nn.dlrm import DLRM, InteractionArch
from thimble.models.nn.embeddings import FullTables
from thimble.models.nn.layers import MLP
from thimble.models.nn.recommender import Scorer
from thimble.models.nn.shared_memory import SharedMemory


@pytest.mark.parametrize("fields", [1, 2, 26])
def test_interaction_is_dense_then_the_strict_lower_triangle_by_rows(fields: int) -> None:
    random = np.random.default_rng(fields)
    dense = random.normal(size=(3, 5)).astype(np.float32)
    sparse = random.normal(size=(3, fields, 5)).astype(np.float32)
    expected = []
    for row in range(3):
        vectors = [dense[row], *sparse[row]]
        products = [vectors[i] @ vectors[j] for i in range(fields + 1) for j in range(i)]
        expected.append([*dense[row], *products])
    found = InteractionArch(fields)(torch.from_numpy(dense), torch.from_numpy(sparse))
    assert found.shape == (3, 5 + (fields + 1) * fields // 2)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-5)


def test_missing_numbers_count_as_zero_and_scores_stay_finite() -> None:
    spec = small_spec()
    scorer = Scorer(DLRM(spec)).eval()
    batch = random_batch(spec, 4)
    dense = torch.from_numpy(batch.dense)
    ids = torch.from_numpy(batch.ids)
    with torch.inference_mode():
        scores = scorer(dense, ids)
        assert torch.equal(scores, scorer(dense.nan_to_num(nan=0.0), ids))
        assert torch.equal(scorer(torch.full_like(dense, -7), ids), scorer(torch.zeros_like(dense), ids))
        assert torch.isfinite(scorer(torch.full_like(dense, 3e38), ids)).all()
    assert scores.shape == (4,)
    assert ((scores > 0) & (scores < 1)).all()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    ("dense", "fields", "dim", "chunk"),
    [(1, 1, 4, 4), (3, 7, 20, 8), (13, 26, 6, 16), (0, 1, 4, 4), (0, 7, 20, 8), (1, 0, 4, 4), (3, 0, 20, 8)],
)
def test_any_number_of_features(scheme: str, dense: int, fields: int, dim: int, chunk: int) -> None:
    spec = small_spec(scheme, dense=dense, kinds=["int"] * fields, dim=dim, chunk=chunk, memory=320)
    dlrm = DLRM(spec).eval()
    batch = random_batch(spec, 5)
    with torch.inference_mode():
        scores = torch.sigmoid(dlrm(*map(torch.from_numpy, batch))).numpy()
    weights = {name: tensor.numpy() for name, tensor in dlrm.state_dict().items()}
    np.testing.assert_allclose(scores, numpy_scores(spec, weights, batch), atol=1e-5)


@pytest.mark.parametrize("scheme", SHARED)
def test_gradients_reach_exactly_the_memory_that_was_read(scheme: str) -> None:
    spec = small_spec(scheme)
    dlrm = DLRM(spec)
    assert isinstance(dlrm.sparse_arch, SharedMemory)
    batch = random_batch(spec, 1)
    dlrm(*map(torch.from_numpy, batch)).sum().backward()
    gradient = dlrm.sparse_arch.memory.grad
    assert gradient is not None
    places = torch.arange(1000, dtype=torch.float32).view(dlrm.sparse_arch.memory.shape)
    dlrm.sparse_arch.memory.data = places
    with torch.inference_mode():
        read = dlrm.sparse_arch(torch.from_numpy(batch.ids)).flatten().to(torch.int64).unique()
    touched = gradient.flatten().nonzero().flatten()
    assert set(touched.tolist()) <= set(read.tolist())
    assert len(touched) > 0.5 * len(read)


def test_full_tables_wrap_ids() -> None:
    spec = small_spec("full", kinds=("int", "int"), rows=50)
    dlrm = DLRM(spec)
    assert isinstance(dlrm.sparse_arch, FullTables)
    embeddings = dlrm.sparse_arch(torch.tensor([[3, 53], [53, 3], [(1 << 60) - 1, 0]]))
    assert torch.equal(embeddings[0], embeddings[1])
    assert not torch.equal(embeddings[0, 0], embeddings[0, 1])
    assert embeddings.shape == (3, 2, 20)


def test_initial_memory_is_within_the_authors_bound() -> None:
    spec = small_spec("block", rows=400)
    dlrm = DLRM(spec)
    assert isinstance(dlrm.sparse_arch, SharedMemory)
    largest = float(dlrm.sparse_arch.memory.detach().abs().max())
    assert 0.045 < largest <= 0.050001


def test_layers_of_an_mlp() -> None:
    layers = list(MLP(13, [512, 128], last_relu=False))
    assert [layer.weight.shape for layer in layers if isinstance(layer, nn.Linear)] == [(512, 13), (128, 512)]
    assert [type(layer) for layer in layers] == [nn.Linear, nn.ReLU, nn.Linear]
