"""A shared array that begins as near as it can to a teacher's tables."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from thimble.export.clicks.frequent_ids import IdCounts
from thimble.export.training.best_step import best_step
from thimble.models.hashing import Floats, Int64s
from thimble.models.nn.quantization import START_RANGE
from thimble.models.nn.shared_memory import SharedMemory
from thimble.models.schemes.base import Weights
from thimble.models.schemes.block import BlockEmbedding
from thimble.models.spec import ModelSpec

AT_ONCE = 1 << 14
"""Ids of a field that are looked up at a time."""
_PART = "sparse_arch."


@torch.no_grad()
def project(sparse: SharedMemory, teacher: ModelSpec, weights: Weights, counts: Sequence[IdCounts]) -> None:
    """Make each weight the mean of what the teacher has for the ids that read it, each as often as it comes.

    That is the memory with the least sum of traffic * |teacher's embedding - student's|^2, as no weight is in two sums.
    Hot ids, who alone read theirs, begin with their very rows. Weights that no id reads stay as they are. The step of
    few bits becomes what changes them least, but no less than it begins with otherwise. `weights` are the teacher's, by
    their torch names.
    """
    embedding = sparse.scheme
    assert isinstance(embedding, BlockEmbedding)
    slots, chunk = embedding.memory_shape
    sums = torch.zeros(slots, chunk, dtype=torch.float64)
    reads = torch.zeros(slots, chunk, dtype=torch.float64)
    chunks = embedding.chunks(sparse.dim)
    padding = chunks * chunk - sparse.dim
    used = np.pad(np.ones(sparse.dim), (0, padding)).reshape(chunks, chunk)
    own = {name.removeprefix(_PART): array for name, array in weights.items() if name.startswith(_PART)}
    keys = {"hot.keys": sparse.hot.keys.numpy(force=True)} if sparse.hot else {}
    for first in range(0, max(len(of_field.ids) for of_field in counts), AT_ONCE):
        ids, times = _columns(counts, first)
        place = torch.from_numpy(embedding.starts(keys, ids, sparse.dim).ravel() // chunk)
        theirs: Floats = teacher.embedding.lookup(own, ids, sparse.dim)
        values = np.pad(theirs, ((0, 0), (0, 0), (0, padding))).reshape(*ids.shape, chunks, chunk)
        often = times[..., None, None] * used
        reads.index_add_(0, place, torch.from_numpy(often.reshape(-1, chunk)))
        sums.index_add_(0, place, torch.from_numpy((often * values).reshape(-1, chunk)))
    device = sparse.memory.device
    means = (sums / reads.clamp(min=1)).float().to(device)
    sparse.memory.copy_(torch.where(reads.to(device) > 0, means, sparse.memory))
    if sparse.quantizer:
        least = START_RANGE / (1 << (sparse.quantizer.bits - 1))
        fitted = best_step(sparse.memory.numpy(force=True), sparse.quantizer.bits)
        sparse.quantizer.log_step.fill_(math.log(max(least, fitted)))


def _columns(counts: Sequence[IdCounts], first: int) -> tuple[Int64s, Int64s]:
    """The next ids of each field, [ids, fields], and how often they come: 0 where a field has no more."""
    parts = [(it.ids[first : first + AT_ONCE], it.times[first : first + AT_ONCE]) for it in counts]
    ids, times = np.zeros((2, max(len(part) for part, _ in parts), len(counts)), np.int64)
    for f, (part, often) in enumerate(parts):
        ids[: len(part), f], times[: len(part), f] = part, often
    return ids, times
