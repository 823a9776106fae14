"""Adam that changes what a batch touched and no more."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import SparseAdam


class LazyAdam(SparseAdam):
    """torch's SparseAdam, its state and its updates up to rounding, in less time.

    Touched rows of weights and moments are taken out, changed by dense operators, and put back, where SparseAdam adds
    sparse tensors.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        assert closure is None
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)

    def _update(self, parameter: torch.Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = 0
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        state["step"] += 1
        assert parameter.grad is not None
        gradient = parameter.grad.coalesce()
        rows, change = gradient.indices()[0], gradient.values()
        beta1, beta2 = group["betas"]
        means, squares = (state[name].index_select(0, rows) for name in ("exp_avg", "exp_avg_sq"))
        means.lerp_(change, 1 - beta1)
        squares.mul_(beta2).addcmul_(change, change, value=1 - beta2)
        rate = group["lr"] * math.sqrt(1 - beta2 ** state["step"]) / (1 - beta1 ** state["step"])
        weights = parameter.index_select(0, rows)
        weights.addcdiv_(means, squares.sqrt().add_(group["eps"]), value=-rate)
        for array, touched in ((parameter, weights), (state["exp_avg"], means), (state["exp_avg_sq"], squares)):
            array.index_copy_(0, rows, touched)
