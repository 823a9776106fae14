"""One update of a model's weights."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp import GradScaler, autocast

from thimble.export.clicks.rows import Clicks
from thimble.export.metrics.negatives import sampled_log_odds
from thimble.export.training.errors import RunError
from thimble.export.training.optimizers import optimizers, take_over
from thimble.export.training.ranks import ALONE, Ranks
from thimble.export.training.recipe import Recipe
from thimble.export.training.teacher import Teaching
from thimble.models.features import Batch
from thimble.models.heads import Heads
from thimble.models.nn.heads import negative_log_likelihood
from thimble.models.nn.recommender import Recommender

# How often it is checked that the loss is a number. A GPU would have to be waited for at each step.
CHECK_STEPS = 50


def loss(logits: Tensor, labels: Tensor, negatives_kept: float = 1, heads: Heads = ()) -> Tensor:
    """What is made small: the negative log likelihood of labels [rows], in nats, summed. They are from 0 to 1.

    The logits are those of the full log, of whose negatives the labels' rows are that share. With several heads both
    are [rows, heads], and all heads' likelihoods count alike; the share is then of rows without the first one's label,
    and changes the odds of that head alone, as all others are given it.
    """
    if heads:
        sampled = logits + logits.new_tensor([sampled_log_odds(negatives_kept), *[0.0] * (len(heads) - 1)])
        return negative_log_likelihood(sampled, labels, heads)
    sampled = logits + sampled_log_odds(negatives_kept)
    return nn.functional.binary_cross_entropy_with_logits(sampled, labels, reduction="sum")


class Step:
    """Trains a model on a batch each time it is called, its share of it where several processes train together."""

    def __init__(
        self, model: Recommender, recipe: Recipe, ranks: Ranks = ALONE, teaching: Teaching | None = None
    ) -> None:
        """RunError: the precision is not for this device."""
        self.model = model
        self.teaching = teaching
        self.negatives_kept = recipe.negatives_kept
        self.ranks = ranks
        self.device = next(model.parameters()).device
        precision = recipe.training_precision
        if precision == "fp16" and self.device.type == "cpu":
            raise RunError("--training-precision fp16 is for GPUs; without one take bf16 or fp32")
        # by autocast matrix products take 16 bits, and weights, sums and the loss stay float32
        self.autocast = autocast(
            self.device.type, torch.float16 if precision == "fp16" else torch.bfloat16, enabled=precision != "fp32"
        )
        self.scaler = GradScaler(self.device.type, enabled=precision == "fp16")
        self.optimizers = optimizers(model, recipe)
        self.summed = torch.zeros((), dtype=torch.float64, device=self.device)
        self.unchecked = 0

    def __call__(self, clicks: Clicks) -> None:
        """RunError: the loss is no number any more, which is checked now and then, or a teacher's score is none."""
        rows = len(clicks.labels)
        share = self.ranks.share(rows)
        batch, targets = Batch._make(tensor[share] for tensor in clicks.batch), clicks.labels[share]
        if self.teaching:
            targets = self.teaching.targets(targets, batch, self.negatives_kept)
        tensors = [torch.from_numpy(tensor).to(self.device) for tensor in batch]
        labels = torch.from_numpy(targets).to(self.device)
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        with self.autocast:
            logits = self.model(*tensors)
        summed = loss(logits.float(), labels, self.negatives_kept, self.model.heads)
        self.scaler.scale(summed / rows).backward()  # type: ignore[no-untyped-call]
        self.ranks.add_gradients(self.model.parameters())
        for optimizer in self.optimizers:
            self.scaler.step(optimizer)
        self.scaler.update()
        self.summed += summed.detach()
        self.unchecked += 1
        if self.unchecked == CHECK_STEPS:
            self.check()

    def check(self) -> None:
        """RunError: the loss is no number any more."""
        self.unchecked = 0
        if not math.isfinite(value := self.summed.item()):
            raise RunError(f"training diverged, the loss is {value}; try lower learning rates in a new --run")

    def take_loss(self) -> float:
        """The loss of all rows since it was last taken, summed, in all processes. RunError: it is no number."""
        self.check()
        total = self.ranks.add(self.summed.item())
        self.summed.zero_()
        return total

    def state_dict(self) -> dict[str, Any]:
        """All that the next steps depend on, in the first process what all have summed. RunError as for `check`."""
        self.check()
        total = self.ranks.add(self.summed.item())
        self.summed.fill_(total if self.ranks.first else 0)
        return {
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "scaler": self.scaler.state_dict(),
            "loss": self.summed,
        }

    def go_on_from(self, state: dict[str, Any]) -> None:
        """Take over what another run has learnt, but not its learning rates. RunError: it is of another kind.

        It may have been trained in another precision, or with batches that touch more or less of the embeddings.
        """
        try:
            self.model.load_state_dict(state["model"])
            for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
                take_over(optimizer, saved)
            if state["scaler"]:  # only fp16 has one
                self.scaler.load_state_dict(state["scaler"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise RunError("the run to go on from was trained by another version of this program") from error

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.scaler.load_state_dict(state["scaler"])
        self.summed.fill_(state["loss"] if self.ranks.first else 0)
