"""What an artifact's precision costs on rows that were not trained on."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from thimble.export.artifact.agreement import inner_session
from thimble.export.clicks.rows import ClickError, Clicks
from thimble.export.metrics.held_out import held_out_metrics
from thimble.export.metrics.negatives import Doubles, row_weights
from thimble.models.hashing import Floats
from thimble.models.heads import columns_of, outputs_of, probabilities
from thimble.models.nn.recommender import Answering
from thimble.models.spec import PrecisionCost

COST_ROWS = 1_000_000


def precision_cost(path: Path, dlrm: Answering, clicks: Iterable[Clicks], negatives_kept: float = 1) -> PrecisionCost:
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
    before, after = np.concatenate(exact), np.concatenate(found)
    clicked = columns_of(np.concatenate(labels))
    weights = row_weights(clicked[0], negatives_kept)
    was, now = (columns_of(probabilities(logits, dlrm.heads)) for logits in (before, after))
    changes = columns_of(np.abs(after - before))
    first, *others = (_cost(*of_head, weights) for of_head in zip(clicked, was, now, changes, strict=True))
    named = dict(zip(outputs_of(dlrm.heads)[1:], others, strict=True))
    return first.model_copy(update={"others": named}) if named else first


def _cost(
    labels: Floats, scores: Doubles, scores_now: Doubles, change: Doubles, weights: Doubles | None
) -> PrecisionCost:
    """Of one answer, all arrays [rows], `change` that of its logits."""
    was, now = (held_out_metrics(labels, found, weights=weights) for found in (scores, scores_now))
    return PrecisionCost(
        rows=len(labels),
        auc=None if now.auc is None or was.auc is None else now.auc - was.auc,
        log_loss=now.log_loss - was.log_loss,
        logit_mean=float(change.mean()),
        logit_largest=float(change.max()),
    )
