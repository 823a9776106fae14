"""Scores of a model in torch, and how good they are."""

from collections.abc import Iterable
from itertools import chain

import numpy as np
import torch
from torch import Tensor, nn

from thimble.export.clicks.rows import ClickError, Clicks
from thimble.export.metrics.scored import ScoredRows
from thimble.models.features import Batch
from thimble.models.hashing import Floats
from thimble.models.heads import outputs_of
from thimble.models.nn.heads import probabilities
from thimble.models.nn.recommender import Answering, Recommender
from thimble.models.spec import Metrics

SCORING_BATCH = 4096


def score(dlrm: Answering, batch: Batch) -> Floats:
    """Probabilities, float32 [rows], or of several answers [rows, heads]."""
    with torch.inference_mode():
        scores: Floats = probabilities(_logits(dlrm, batch), dlrm.heads).cpu().numpy()
    return scores


def labelled_logits(dlrm: Recommender, batches: Iterable[Clicks]) -> tuple[Floats, Floats]:
    """Labels and logits of all the rows, both float32 [rows], by a model of one answer."""
    labels, logits = [np.empty(0, np.float32)], [np.empty(0, np.float32)]
    for clicks in batches:
        if len(clicks.labels):
            labels.append(clicks.labels)
            with torch.inference_mode():
                logits.append(_logits(dlrm, clicks.batch).cpu().numpy())
    return np.concatenate(labels), np.concatenate(logits)


def scored(dlrm: Recommender, batches: Iterable[Clicks], negatives_kept: float = 1) -> ScoredRows:
    """All the rows with their scores, of whose negatives that share was kept. ClickError: there is no row."""
    rows = ScoredRows(negatives_kept, outputs_of(dlrm.heads))
    for clicks in batches:
        if len(clicks.labels):
            rows.add(clicks.labels, score(dlrm, clicks.batch), clicks.truth, clicks.groups)
    if not len(rows):
        raise ClickError("the held-out clicks have no usable row to evaluate on")
    return rows


def evaluate(dlrm: Recommender, batches: Iterable[Clicks], negatives_kept: float = 1) -> Metrics:
    """Metrics over all the rows, of whose negatives that share was kept. ClickError: there is no row."""
    return scored(dlrm, batches, negatives_kept).metrics()


def _logits(dlrm: nn.Module, batch: Batch) -> Tensor:
    device = next(chain(dlrm.parameters(), dlrm.buffers())).device
    logits: Tensor = dlrm(*(torch.from_numpy(tensor).to(device) for tensor in batch))
    return logits
