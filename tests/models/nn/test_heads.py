"""The likelihood of several answers' labels, and their probabilities, in torch."""

import numpy as np
import torch
from torch import nn

from thimble.models import heads as by_numpy
from thimble.models.heads import Head
from thimble.models.nn.heads import negative_log_likelihood, probabilities

HEADS = (Head(name="click"), Head(name="conversion", given="click"), Head(name="return", given="conversion"))
FREE = (Head(name="click"), Head(name="like"))


def test_probabilities_are_those_of_numpy() -> None:
    logits = np.random.default_rng(0).normal(0, 5, (200, 3)).astype(np.float32)
    found = probabilities(torch.from_numpy(logits), HEADS).numpy()
    np.testing.assert_allclose(found, by_numpy.probabilities(logits, HEADS), rtol=1e-5, atol=1e-12)
    assert (np.diff(found, axis=1) <= 0).all()  # none is more likely than what it is given


def test_the_loss_of_heads_by_themselves_is_their_cross_entropy() -> None:
    random = np.random.default_rng(0)
    logits = torch.from_numpy(random.normal(0, 3, (50, 2)).astype(np.float32))
    labels = torch.from_numpy(random.integers(0, 2, (50, 2)).astype(np.float32))
    expected = nn.functional.binary_cross_entropy_with_logits(logits, labels, reduction="sum")
    torch.testing.assert_close(negative_log_likelihood(logits, labels, FREE), expected)


def test_the_loss_of_what_is_given_another_is_that_of_the_product() -> None:
    random = np.random.default_rng(1)
    logits = torch.from_numpy(random.normal(0, 3, (50, 3))).requires_grad_()
    labels = torch.from_numpy(np.cumprod(random.integers(0, 2, (50, 3)), axis=1).astype(np.float64))
    p = torch.cumprod(torch.sigmoid(logits), dim=1)
    plain = -(labels * p.log() + (1 - labels) * (1 - p).log()).sum()
    found = negative_log_likelihood(logits, labels, HEADS)
    torch.testing.assert_close(found, plain)
    (exact,) = torch.autograd.grad(plain, logits)
    (gradient,) = torch.autograd.grad(found, logits)
    torch.testing.assert_close(gradient, exact)


def test_the_loss_and_its_gradients_are_finite_where_probabilities_are_0_or_1_to_float32() -> None:
    far = [-1000.0, -100.0, -20.0, 0.0, 20.0, 100.0, 1000.0]
    logits = torch.cartesian_prod(*[torch.tensor(far)] * 3).requires_grad_()
    for labels in ([0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [1.0, 1.0, 1.0]):
        loss = negative_log_likelihood(logits, torch.tensor(labels).expand(len(logits), 3), HEADS)
        (gradient,) = torch.autograd.grad(loss, logits)
        assert torch.isfinite(loss) and torch.isfinite(gradient).all()
