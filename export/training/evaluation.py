"""Scores of a model in torch, and how good they are."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch

from thimble.export.clicks.rows import ClickError, Clicks
from thimble.export.metrics.scored import ScoredRows
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


def scored(dlrm: Recommender, batches: Iterable[Clicks]) -> ScoredRows:
    """All the rows with their scores. ClickError: there is none."""
    rows = ScoredRows()
    for clicks in batches:
        if len(clicks.labels):
            rows.add(clicks.labels, score(dlrm, clicks.batch), clicks.truth, clicks.groups)
    if not len(rows):
        raise ClickError("the held-out clicks have no usable row to evaluate on")
    return rows


def evaluate(dlrm: Recommender, batches: Iterable[Clicks]) -> Metrics:
    """Metrics over all the rows. ClickError: there is none."""
    return scored(dlrm, batches).metrics()
