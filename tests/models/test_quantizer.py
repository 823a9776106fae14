"""Weights that are trained to be held in 4 and 8 bits."""

import math

import numpy as np
import pytest
import torch
from torch.optim import Adam

from testing.samples import random_batch, small_spec
from thimble.models.nn.quantization import Quantizer
from thimble.models.nn.registry import recommender
from thimble.models.nn.shared_memory import SharedMemory
from thimble.models.quantization import MemoryPrecision, limits

# of the step: within, between two multiples, and beyond either end
WITHIN, ABOVE, BELOW = [0.0, 0.3, -1.4, 2.0, -6.6], [1000.0], [-1000.0]


def quantizer(bits: int, step: float) -> Quantizer:
    made = Quantizer(bits)
    with torch.no_grad():
        made.log_step.fill_(math.log(step))
    return made


@pytest.mark.parametrize("bits", [4, 8])
def test_gradients_are_those_of_lsq(bits: int) -> None:
    """Esser et al., ICLR 2020, equations 2 and 3; of the logarithm of a step it is the step times that of the step."""
    made, step = quantizer(bits, 0.125), 0.125
    low, high = limits(bits)
    weights = (step * torch.tensor([*WITHIN, *ABOVE, *BELOW])).requires_grad_()
    rounded = made(weights)
    expected = step * np.array([*np.rint(WITHIN), high, low])
    np.testing.assert_allclose(rounded.detach().numpy(), expected, rtol=1e-6)
    upstream = torch.arange(1.0, 8)
    rounded.backward(upstream)
    assert weights.grad is not None and made.log_step.grad is not None
    assert weights.grad.tolist() == [1, 2, 3, 4, 5, 0, 0]
    by_step = [*(np.rint(WITHIN) - WITHIN), high, low]
    assert made.log_step.grad.item() == pytest.approx(step * float(upstream.numpy() @ by_step), rel=1e-5)


def test_no_rate_makes_the_step_negative() -> None:
    made = quantizer(4, 1e-3)
    optimizer = Adam(made.parameters(), lr=5)
    for _ in range(3):
        optimizer.zero_grad()
        made(torch.tensor([1.0])).sum().backward()
        optimizer.step()
        assert 0 < made.step.item() < math.inf


@pytest.mark.parametrize("precision", ["int8", "int4"])
@pytest.mark.parametrize("sparse", [False, True])
def test_what_is_trained_is_what_is_stored(precision: MemoryPrecision, sparse: bool) -> None:
    """Weights on all sides of what there is room for, halves among them."""
    spec = small_spec(precision=precision, memory=8000)
    arch = recommender(spec).sparse_arch
    assert isinstance(arch, SharedMemory) and arch.quantizer is not None
    arch.sparse_gradients = sparse
    step = arch.quantizer.step.detach()
    with torch.no_grad():
        arch.memory.copy_(step / 2 * torch.randint(-600, 600, arch.memory.shape))
    ids = torch.from_numpy(random_batch(spec, 500).ids)
    trained = arch(ids).detach().numpy()
    arch.quantize(step.item(), arch.quantizer.bits)
    assert np.array_equal(arch(ids).numpy(), trained)
    assert len(np.unique(trained)) > 15


def test_ids_that_meet_in_a_slot_train_it_as_one() -> None:
    spec = small_spec(precision="int4", memory=100_000)
    arch = recommender(spec).sparse_arch
    assert isinstance(arch, SharedMemory)
    ids = torch.from_numpy(random_batch(spec, 4).ids).repeat(3, 1)
    gradients = []
    for arch.sparse_gradients in (False, True):
        arch.zero_grad()
        arch(ids).sum().backward()
        assert arch.memory.grad is not None and arch.memory.grad.is_sparse == arch.sparse_gradients
        gradients.append(arch.memory.grad.to_dense() if arch.sparse_gradients else arch.memory.grad)
    assert torch.equal(*gradients) and gradients[0].max() >= 3
