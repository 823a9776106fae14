"""Logistic regression on the same columns: a weight for each id, one for each number, and nothing between them."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Adam, SparseAdam

from thimble.export.clicks.rows import Clicks, Rows
from thimble.export.metrics.held_out import held_out_metrics
from thimble.export.training.evaluation import SCORING_BATCH
from thimble.export.training.recipe import DENSE_LR, SPARSE_LR
from thimble.export.training.start import log_odds
from thimble.models.nn.transforms import transform
from thimble.models.spec import Metrics, ModelSpec

BATCH = 2048


class LinearModel(nn.Module):
    """dense [batch, numbers], ids [batch, fields], each the number of a table's row -> logits [batch]."""

    firsts: Tensor

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        rows = [field.rows for field in spec.fields]
        self.register_buffer("firsts", torch.tensor([0, *rows]).cumsum(0)[:-1])
        self.preprocess = transform(spec) if spec.dense else nn.Identity()
        self.numbers = nn.Linear(spec.dense_transform.width(len(spec.dense)), 1)
        self.ids = nn.EmbeddingBag(sum(rows), 1, mode="sum", sparse=True)
        nn.init.zeros_(self.ids.weight)
        nn.init.zeros_(self.numbers.weight)

    def forward(self, dense: Tensor, ids: Tensor) -> Tensor:
        logits: Tensor = self.numbers(self.preprocess(dense)) + self.ids(ids + self.firsts)
        return logits.squeeze(1)


def fitted(
    spec: ModelSpec, training: Rows, others: Sequence[Rows], epochs: int, factors: tuple[float, float]
) -> list[list[Metrics]]:
    """The metrics on other rows after each epoch. `factors` are those of the recipe's rates, of numbers and of ids."""
    model = LinearModel(spec)
    optimizers = [
        Adam(model.numbers.parameters(), lr=DENSE_LR * factors[0]),
        SparseAdam(model.ids.parameters(), lr=SPARSE_LR * factors[1]),
    ]
    found = []
    for epoch in range(epochs):
        for step, clicks in enumerate(training.read(BATCH, 0, epoch)):
            if epoch == step == 0:
                nn.init.constant_(model.numbers.bias, log_odds(clicks.labels))
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss = nn.functional.binary_cross_entropy_with_logits(
                _logits(model, clicks), torch.from_numpy(clicks.labels)
            )
            loss.backward()  # type: ignore[no-untyped-call]
            for optimizer in optimizers:
                optimizer.step()
        found.append([_metrics(model, rows) for rows in others])
    return found


def _metrics(model: LinearModel, rows: Rows) -> Metrics:
    with torch.inference_mode():
        scored = [(clicks.labels, _logits(model, clicks).sigmoid().numpy()) for clicks in rows.read(SCORING_BATCH)]
    labels, scores = (np.concatenate(arrays) for arrays in zip(*scored, strict=True))
    return held_out_metrics(labels, scores)


def _logits(model: LinearModel, clicks: Clicks) -> Tensor:
    logits: Tensor = model(torch.from_numpy(clicks.batch.dense), torch.from_numpy(clicks.batch.ids))
    return logits
