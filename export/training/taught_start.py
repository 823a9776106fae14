"""A student before its first step: what its teacher has learnt but the embeddings (docs/adr/0025-teacher.md)."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from thimble.export.clicks.rows import Clicks
from thimble.export.training.errors import RunError
from thimble.export.training.intercept import fit_intercept
from thimble.models.nn.recommender import Recommender
from thimble.models.schemes.base import Weights
from thimble.models.transforms import Transform


class Start(NamedTuple):
    """What a student of the same architecture begins with: weights, by their torch names, and what numbers become.

    Embeddings may be among them. `path` is that of the teacher's file, for messages.
    """

    path: Path
    weights: Weights
    dense_transform: Transform


@torch.no_grad()
def begin_as(model: Recommender, start: Start, clicks: Clicks, negatives_kept: float = 1) -> None:
    """Give an untrained student all weights of its teacher but the embeddings, and the base rate of some rows.

    It is that of the full log, of whose negatives the rows hold that share. RunError: a weight is missing.
    """
    for name, parameter in model.named_parameters():
        if name.startswith("sparse_arch."):
            continue
        weights = start.weights.get(name)
        if weights is None or weights.shape != parameter.shape:
            raise RunError(f"{start.path} holds no weights {name} of shape {[*parameter.shape]}")
        parameter.copy_(torch.from_numpy(weights.astype(np.float32)))
    fit_intercept(model, [clicks], negatives_kept)
