"""What the modules of all architectures compute, against numpy and against the formulas of their papers."""

from itertools import combinations

import numpy as np
import pytest
import torch

from testing.samples import FORMS, SCHEMES, in_form, random_batch, small_spec
from thimble.export.artifact.agreement import numpy_scores
from thimble.models.hashing import Floats
from thimble.models.nn.dcnv2 import CrossNet
from thimble.models.nn.deepfm import second_order
from thimble.models.nn.recommender import Recommender
from thimble.models.nn.registry import recommender
from thimble.models.spec import ModelSpec
from thimble.models.transforms.base import NumberSample
from thimble.models.transforms.quantiles import QuantileTransform


def weights(model: Recommender) -> dict[str, Floats]:
    return {name: tensor.numpy(force=True) for name, tensor in model.state_dict().items()}


def lively(spec: ModelSpec) -> Recommender:
    """Untrained, but with embeddings that matter."""
    torch.manual_seed(0)
    model = recommender(spec).eval()
    with torch.no_grad():
        for parameter in model.parameter_groups().sparse:
            parameter.uniform_(-1, 1)
    return model


def logits(model: Recommender, spec: ModelSpec, rows: int = 6) -> Floats:
    with torch.inference_mode():
        found: Floats = model(*map(torch.from_numpy, random_batch(spec, rows))).numpy()
    return found


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(("dense", "fields"), [(1, 1), (3, 7), (0, 1), (0, 7), (1, 0), (3, 0)])
@pytest.mark.parametrize("form", FORMS)
def test_torch_and_numpy_agree_with_any_number_of_features(form: str, dense: int, fields: int, scheme: str) -> None:
    spec = in_form(small_spec(scheme, dense=dense, kinds=["int"] * fields, dim=6, chunk=4, memory=320), form)
    model = lively(spec)
    by_numpy = numpy_scores(spec, weights(model), random_batch(spec, 6))
    by_torch = torch.sigmoid(torch.from_numpy(logits(model, spec))).numpy()
    assert by_torch.shape == (6,) and by_torch.std() > 0
    np.testing.assert_allclose(by_torch, by_numpy, atol=1e-5)


@pytest.mark.parametrize("dense", [0, 2])
@pytest.mark.parametrize("form", FORMS)
def test_with_learnt_transformations(form: str, dense: int) -> None:
    samples = [NumberSample(np.arange(9, dtype=np.float32), 0.1)] * dense
    spec = small_spec(dense=dense).model_copy(update={"dense_transform": QuantileTransform.learn(samples)})
    model = lively(spec := in_form(spec, form))
    by_torch = torch.sigmoid(torch.from_numpy(logits(model, spec))).numpy()
    np.testing.assert_allclose(by_torch, numpy_scores(spec, weights(model), random_batch(spec, 6)), atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_every_parameter_matters_and_is_in_one_group(form: str) -> None:
    spec = in_form(small_spec(), form)
    model = lively(spec)
    model(*map(torch.from_numpy, random_batch(spec, 64))).square().sum().backward()
    groups = model.parameter_groups()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.to_dense().any(), name
        assert sum(parameter is other for group in groups for other in group) == 1, name


@pytest.mark.parametrize("form", FORMS)
def test_the_last_layer_scales_and_shifts_the_logit(form: str) -> None:
    """On which the start, the constant, Platt scaling and the intercept build."""
    spec = in_form(small_spec(), form)
    model = lively(spec)
    before = logits(model, spec)
    with torch.no_grad():
        model.last_layer.weight.mul_(3)
        model.last_layer.bias.mul_(3).add_(0.5)
    np.testing.assert_allclose(logits(model, spec), 3 * before + 0.5, rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        model.last_layer.weight.zero_()
    assert len(np.unique(logits(model, spec))) == 1


@pytest.mark.parametrize("form", FORMS)
def test_scores_of_extreme_numbers_are_probabilities(form: str) -> None:
    spec = in_form(small_spec(), form)
    model = lively(spec)
    batch = random_batch(spec, 4)
    for number in (3e38, -3e38, 0.0, np.nan):
        scores = torch.sigmoid(
            model(torch.full_like(torch.from_numpy(batch.dense), number), torch.from_numpy(batch.ids))
        )
        assert ((scores >= 0) & (scores <= 1)).all()


def test_second_order_is_the_sum_of_all_pairs_dot_products() -> None:
    vectors = np.random.default_rng(0).normal(size=(5, 7, 4)).astype(np.float32)
    expected = [[sum(a @ b for a, b in combinations(row, 2))] for row in vectors]
    np.testing.assert_allclose(second_order(torch.from_numpy(vectors)).numpy(), expected, rtol=1e-4)


def test_the_parts_of_a_deepfm_are_added_up() -> None:
    """Guo et al.: y = <w, x> + sum of all <v_i, v_j> + the deep part, here with the deep part's last weights at 0."""
    spec = in_form(small_spec(), "deepfm")
    model = lively(spec)
    batch = random_batch(spec, 6)
    with torch.no_grad():
        last = model.last_layer
        last.weight[:, :8] = 0  # of the hidden units
        numbers, ones = last.weight[0, 8:11].clone().numpy(), last.weight[0, 11:]
        embeddings = model.sparse_arch(torch.from_numpy(batch.ids)).numpy()
    assert ones.tolist() == [1, 1] and not numbers.any()
    first = embeddings[:, :, -1].sum(axis=1)
    pairs = [sum(a @ b for a, b in combinations(row, 2)) for row in embeddings[:, :, :-1]]
    np.testing.assert_allclose(logits(model, spec), first + pairs + last.bias.item(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rank", [None, 2])
def test_a_cross_layer_multiplies_its_first_input_in(rank: int | None) -> None:
    """Wang et al.: x_{l+1} = x_0 * (W_l x_l + b_l) + x_l, with W_l = U_l V_l^T where there is a rank."""
    torch.manual_seed(0)
    net = CrossNet(5, 3, rank)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_()
    arrays = [parameter.numpy(force=True).astype(np.float64) for parameter in net.parameters()]
    x0 = x = np.random.default_rng(0).normal(size=(4, 5))
    layers = zip(*[iter(arrays)] * (2 if rank is None else 3), strict=True)
    for layer in layers:
        matrix = layer[0] if rank is None else layer[1] @ layer[0]
        x = np.stack([a * (matrix @ b + layer[-1]) + b for a, b in zip(x0, x, strict=True)])
    np.testing.assert_allclose(net(torch.from_numpy(x0).float()).detach().numpy(), x, rtol=1e-4, atol=1e-4)


def test_a_low_rank_has_fewer_weights() -> None:
    low, full = (sum(p.numel() for p in CrossNet(100, 2, rank).parameters()) for rank in (10, None))
    assert (low, full) == (2 * (2 * 10 * 100 + 100), 2 * (100 * 100 + 100))
