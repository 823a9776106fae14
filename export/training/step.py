"""One update of a model's weights."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from thimble.export.clicks.rows import Clicks
from thimble.export.metrics.negatives import sampled_log_odds
from thimble.export.training.errors import RunError
from thimble.export.training.optimizers import optimizers
from thimble.export.training.recipe import Recipe
from thimble.models.nn.recommender import Recommender


def loss(logits: Tensor, labels: Tensor, negatives_kept: float = 1) -> Tensor:
    """What is made small: the mean negative log likelihood of labels [rows], in nats.

    The logits are those of the full log, of whose negatives the labels' rows are that share.
    """
    return nn.functional.binary_cross_entropy_with_logits(logits + sampled_log_odds(negatives_kept), labels)


class Step:
    """Trains a model on a batch each time it is called."""

    def __init__(self, model: Recommender, recipe: Recipe) -> None:
        self.model = model
        self.negatives_kept = recipe.negatives_kept
        self.optimizers = optimizers(model, recipe)

    def __call__(self, clicks: Clicks) -> float:
        """The batch's mean loss before the update. RunError: it is no number any more."""
        device = next(self.model.parameters()).device
        tensors = [torch.from_numpy(tensor).to(device) for tensor in clicks.batch]
        labels = torch.from_numpy(clicks.labels).to(device)
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        mean = loss(self.model(*tensors), labels, self.negatives_kept)
        value = mean.item()
        if not math.isfinite(value):
            raise RunError(f"training diverged, the loss is {value}; try lower learning rates in a new --run")
        mean.backward()  # type: ignore[no-untyped-call]
        for optimizer in self.optimizers:
            optimizer.step()
        return value

    def state_dict(self) -> dict[str, Any]:
        """All that the next steps depend on."""
        return {
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }

    def go_on_from(self, state: dict[str, Any]) -> None:
        """Take over what another run has learnt, but not its learning rates. RunError: it is of another kind."""
        rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in self.optimizers]
        try:
            self.load_state_dict(state)
        except (RuntimeError, ValueError, KeyError):
            raise RunError("the run to go on from was trained by another version of this program") from None
        for optimizer, own in zip(self.optimizers, rates, strict=True):
            for group, rate in zip(optimizer.param_groups, own, strict=True):
                group["lr"] = rate

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
