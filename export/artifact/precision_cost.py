"""What an artifact's precision costs on rows that were not trained on."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from thimble.export.artifact.agreement import inner_session
from thimble.export.clicks.rows import ClickError, Clicks
from thimble.export.metrics.held_out import held_out_metrics
from thimble.export.metrics.negatives import row_weights
from thimble.models.spec import PrecisionCost

COST_ROWS = 1_000_000


def precision_cost(path: Path, dlrm: nn.Module, clicks: Iterable[Clicks], negatives_kept: float = 1) -> PrecisionCost:
    """The file against the float32 model that it was made from, on rows of whose negatives that share was kept.

    ClickError: no usable row.
    """
    session = inner_session(path, "Sigmoid", output=False)
    labels, exact, found = [], [], []
    for part in clicks:
        if len(part.labels):
            labels.append(part.labels)
            found.append(session.run(None, part.batch.fed())[0].astype(np.float64))
            with torch.inference_mode():
                exact.append(dlrm(*(torch.from_numpy(array) for array in part.batch)).double().numpy())
    if not labels:
        raise ClickError("the held-out clicks have no usable row to measure the cost of the precision on")
    clicked, before, after = np.concatenate(labels), np.concatenate(exact), np.concatenate(found)
    weights = row_weights(clicked, negatives_kept)
    was, now = (held_out_metrics(clicked, 1 / (1 + np.exp(-logits)), weights=weights) for logits in (before, after))
    change = np.abs(after - before)
    return PrecisionCost(
        rows=len(clicked),
        auc=None if now.auc is None or was.auc is None else now.auc - was.auc,
        log_loss=now.log_loss - was.log_loss,
        logit_mean=float(change.mean()),
        logit_largest=float(change.max()),
    )
