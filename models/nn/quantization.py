"""`thimble.models.quantization` in torch: weights as files hold them, and weights that are trained to be held so."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from thimble.models.quantization import limits

START_RANGE = 0.25
"""The largest weights that there are before the first step of training.

It is what they grow to, not what they are at first: the step that LSQ begins with, fitted to initial weights that are
far smaller, does not keep up with them (docs/adr/0020-few-bits.md). Those are 0 once rounded, until they are trained.
"""


def dequantized(stored: Tensor, step: Tensor, bits: int) -> Tensor:
    """Bytes [rows, n] -> the weights, float32 [rows, n * 8 / bits]."""
    codes = stored
    if bits == 4:
        codes = torch.stack([stored & 15, stored >> 4], dim=2).flatten(1)
    return (codes.to(torch.int16) + limits(bits)[0]).float() * step


class Quantizer(nn.Module):
    """Rounds float32 weights to multiples of a step that is learnt with them: LSQ (Esser et al., ICLR 2020).

    What is learnt is the step's logarithm. So it stays positive, and Adam, whose updates are as large as its learning
    rate whatever the gradient is, changes it by a share of itself, be it large or small. That also leaves the paper's
    scale of the step's gradient without effect, so there is none.
    """

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits
        self.log_step = nn.Parameter(torch.tensor(math.log(START_RANGE / (1 << (bits - 1)))))

    @property
    def step(self) -> Tensor:
        return self.log_step.exp()

    def forward(self, weights: Tensor) -> Tensor:
        rounded: Tensor = _Rounding.apply(weights, self.log_step, *limits(self.bits))  # type: ignore[no-untyped-call]
        return rounded


class _Rounding(torch.autograd.Function):
    """The nearest multiples of the step. Gradients pass as if none was rounded, but stop where one is cut off."""

    @staticmethod
    def forward(ctx: Any, weights: Tensor, log_step: Tensor, low: int, high: int) -> Tensor:
        step = log_step.exp()
        scaled = weights / step
        multiples = scaled.round().clamp_(low, high)
        ctx.save_for_backward(scaled, multiples, step)
        ctx.limits = low, high
        return multiples * step

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        scaled, multiples, step = ctx.saved_tensors
        (gradient,) = gradients
        low, high = ctx.limits
        within = (scaled > low) & (scaled < high)
        # by the step: how far the weight was moved, or where it is cut off the limit
        change = torch.where(within, multiples - scaled, multiples)
        return gradient * within, (gradient * change).sum() * step, None, None
