"""Scores of a model in torch, and how good they are."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch

from thimble.export.clicks.rows import ClickError, Clicks
from thimble.export.metrics.held_out import held_out_metrics
from thimble.models.features import Batch
from thimble.models.nn.recommender import Recommender
from thimble.models.spec import Metrics

SCORING_BATCH = 4096


def score(dlrm: Recommender, batch: Batch) -> npt.NDArray[np.float32]:
    """Click probabilities, float32 [rows]."""
    device = next(dlrm.parameters()).device
    with torch.inference_mode():
        logits = dlrm(*(torch.from_numpy(tensor).to(device) for tensor in batch))
        scores: npt.NDArray[np.float32] = torch.sigmoid(logits).cpu().numpy()
    return scores


def evaluate(dlrm: Recommender, batches: Iterable[Clicks]) -> Metrics:
    """Metrics over all the rows. ClickError: there is none."""
    labels, scores, truth = [], [], []
    for clicks in batches:
        if not len(clicks.labels):
            continue
        labels.append(clicks.labels)
        scores.append(score(dlrm, clicks.batch))
        if clicks.truth is not None:
            truth.append(clicks.truth)
    if not labels:
        raise ClickError("the held-out clicks have no usable row to evaluate on")
    return held_out_metrics(np.concatenate(labels), np.concatenate(scores), np.concatenate(truth) if truth else None)
