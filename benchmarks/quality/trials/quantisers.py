"""Weights of few bits as they are trained: latent float32 weights, of which a model sees the nearest value there is."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

START_RANGE = 0.25
"""What the values reach before the first step of training, in the product."""
GAUSSIAN_STEP = 0.3352
"""In its deviations, the step of the 16 even values that lie closest to a normal variable (Max, IRE Trans. 1960)."""
GAUSSIAN_LEVELS = (0.1284, 0.3881, 0.6568, 0.9424, 1.2562, 1.6181, 2.0690, 2.7326)
"""The positive half of the 16 values that do without even spaces (Max, IRE Trans. 1960)."""


class _Rounded(torch.autograd.Function):
    """Learned step size quantization (Esser et al., ICLR 2020). Adam takes no notice of the scale that it gives the
    step's gradient, so there is none.
    """

    @staticmethod
    def forward(ctx: Any, weights: Tensor, step: Tensor, low: int, high: int, outside: str) -> Tensor:
        ratio = weights / step
        level = ratio.round().clamp(low, high)
        inside = (ratio >= low) & (ratio <= high)
        ctx.save_for_backward(torch.where(inside, level - ratio, level), (ratio - level) * ~inside)
        ctx.outside = outside
        return level * step

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        of_step, beyond = ctx.saved_tensors
        passes = beyond == 0
        if ctx.outside != "none":
            passes |= beyond * gradient > 0 if ctx.outside == "inwards" else True
        return gradient * passes, (gradient * of_step).sum().reshape(1), None, None, None


class Exact(nn.Module):
    """float32."""

    def forward(self, weights: Tensor) -> Tensor:
        return weights


class Halved(nn.Module):
    """float16, rounded as an export does, with the gradient passed through."""

    def forward(self, weights: Tensor) -> Tensor:
        return weights + (weights.half().float() - weights).detach()


class LearntStep(nn.Module):
    """Evenly spaced values whose one step is trained. `logarithm`: it is its logarithm that is, so it stays above 0.

    It begins as LSQ's does, or so that the values reach `reach`. `outside` says which gradients of weights that are cut
    off are let through: none as in LSQ, all, or those that lead inwards.
    """

    def __init__(
        self, weights: Tensor, bits: int, reach: float | None = None, logarithm: bool = True, outside: str = "none"
    ) -> None:
        super().__init__()
        self.low, self.high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        self.logarithm, self.outside = logarithm, outside
        step = 2 * weights.detach().abs().mean() / math.sqrt(self.high)
        if reach is not None:
            step = torch.tensor(reach / -self.low)
        self.step = nn.Parameter((step.log() if logarithm else step).reshape(1))

    def forward(self, weights: Tensor) -> Tensor:
        step = self.step.exp() if self.logarithm else self.step.clamp(min=1e-8)
        rounded: Tensor = _Rounded.apply(weights, step, self.low, self.high, self.outside)  # type: ignore[no-untyped-call]
        return rounded


class MeasuredStep(nn.Module):
    """16 evenly spaced values whose step follows from how large the weights are at the moment."""

    def forward(self, weights: Tensor) -> Tensor:
        step = GAUSSIAN_STEP * weights.detach().square().mean().sqrt().reshape(1)
        rounded: Tensor = _Rounded.apply(weights, step, -8, 7, "none")  # type: ignore[no-untyped-call]
        return rounded


class Codebook(nn.Module):
    """The nearest of 16 values, which are trained, and so is what all are multiplied by."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        deviation = weights.detach().square().mean().sqrt()
        self.scale = nn.Parameter(deviation.log().reshape(1))
        self.levels = nn.Parameter(torch.tensor([*(-x for x in reversed(GAUSSIAN_LEVELS)), *GAUSSIAN_LEVELS]))

    def forward(self, weights: Tensor) -> Tensor:
        levels = (self.levels * self.scale.exp()).sort().values
        nearest = torch.bucketize(weights.detach(), ((levels[1:] + levels[:-1]) / 2).detach())
        return levels[nearest] + (weights - weights.detach())


class Kind(NamedTuple):
    """How many bits a weight takes in a file, and a quantiser for weights as they start."""

    bits: int
    made: Callable[[Tensor], nn.Module]


KINDS = {
    "fp32": Kind(32, lambda _: Exact()),
    "fp16": Kind(16, lambda _: Halved()),
    "8 bits": Kind(8, lambda w: LearntStep(w, 8, reach=START_RANGE)),
    "4 bits": Kind(4, lambda w: LearntStep(w, 4, reach=START_RANGE)),
    "4 bits, LSQ's start": Kind(4, lambda w: LearntStep(w, 4)),
    "4 bits, the step itself": Kind(4, lambda w: LearntStep(w, 4, logarithm=False)),
    "4 bits, gradients inwards": Kind(4, lambda w: LearntStep(w, 4, outside="inwards")),
    "4 bits, all gradients": Kind(4, lambda w: LearntStep(w, 4, outside="all")),
    "4 bits, measured step": Kind(4, lambda _: MeasuredStep()),
    "16 learnt values": Kind(4, Codebook),
}
