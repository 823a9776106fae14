"""A student before its first step: what its teacher has learnt, as far as it has room for it."""

import math
from typing import NamedTuple

import numpy as np
import torch

from thimble.export.clicks.frequent_ids import IdCounts, id_counts
from thimble.export.clicks.rows import Clicks, Rows
from thimble.export.training.best_step import best_step
from thimble.export.training.errors import RunError
from thimble.export.training.hot_rows import MOST_IDS
from thimble.export.training.intercept import fit_intercept
from thimble.models.hashing import Floats, Int64s
from thimble.models.nn.embeddings import SharedMemory
from thimble.models.nn.quantization import START_RANGE
from thimble.models.nn.recommender import Recommender
from thimble.models.schemes.base import Weights
from thimble.models.schemes.block import BlockEmbedding
from thimble.models.schemes.full import FullEmbedding
from thimble.models.schemes.indexed import IndexedEmbedding
from thimble.models.spec import ModelSpec

AT_ONCE = 1 << 14
"""Ids of a field that are looked up at a time."""
_SPARSE = "sparse_arch."


class Start(NamedTuple):
    """What a student of the same architecture begins with: the teacher's spec and weights, by their torch names."""

    teacher: ModelSpec
    weights: Weights


def begin_as(model: Recommender, start: Start, rows: Rows, first: Clicks, negatives_kept: float = 1) -> None:
    """Give an untrained student its teacher's MLPs and, where one has tables and the other blocks, its embeddings.

    `rows` are those to train on, which are read once for their traffic; the scores' mean becomes the base rate of the
    `first` ones. RunError: a weight is missing.
    """
    sparse = model.sparse_arch
    _take_mlps(model, start)
    if isinstance(sparse, SharedMemory) and has_tables(start.teacher) and isinstance(sparse.embedding, BlockEmbedding):
        _project(sparse, sparse.embedding, start, id_counts(rows, sparse.constants.shape[1], MOST_IDS))
    fit_intercept(model, [first], negatives_kept)


def has_tables(teacher: ModelSpec) -> bool:
    """Whether each of its ids has an embedding that can be read from the file."""
    return isinstance(teacher.embedding, FullEmbedding | IndexedEmbedding)


@torch.no_grad()
def _take_mlps(model: Recommender, start: Start) -> None:
    for name, parameter in model.named_parameters():
        if name.startswith(_SPARSE):
            continue
        weights = start.weights.get(name)
        if weights is None or weights.shape != parameter.shape:
            raise RunError(f"the teacher {start.teacher.name!r} holds no weights {name} of shape {[*parameter.shape]}")
        parameter.copy_(torch.from_numpy(weights.astype(np.float32)))


@torch.no_grad()
def _project(sparse: SharedMemory, embedding: BlockEmbedding, start: Start, counts: list[IdCounts]) -> None:
    """Make each weight the mean of what the teacher has for the ids that read it, each as often as it comes.

    That is the memory with the least sum of traffic * |teacher's embedding - student's|^2, as no weight is in two sums.
    Hot ids, who read slots of their own, begin with their very rows. Weights that no id reads stay as they are.
    """
    slots, chunk = embedding.memory_shape
    sums = torch.zeros(slots, chunk, dtype=torch.float64)
    reads = torch.zeros(slots, chunk, dtype=torch.float64)
    chunks = embedding.chunks(sparse.dim)
    padding = chunks * chunk - sparse.dim
    used = np.pad(np.ones(sparse.dim), (0, padding)).reshape(chunks, chunk)
    own = {name.removeprefix(_SPARSE): array for name, array in start.weights.items() if name.startswith(_SPARSE)}
    keys = {"hot.keys": sparse.hot.keys.numpy(force=True)} if sparse.hot else {}
    for first in range(0, max(len(of_field.ids) for of_field in counts), AT_ONCE):
        ids, times = _columns(counts, first)
        place = torch.from_numpy(embedding.starts(keys, ids, sparse.dim).ravel() // chunk)
        theirs: Floats = start.teacher.embedding.lookup(own, ids, sparse.dim)
        values = np.pad(theirs, ((0, 0), (0, 0), (0, padding))).reshape(*ids.shape, chunks, chunk)
        weights = times[..., None, None] * used
        reads.index_add_(0, place, torch.from_numpy(weights.reshape(-1, chunk)))
        sums.index_add_(0, place, torch.from_numpy((weights * values).reshape(-1, chunk)))
    means = (sums / reads.clamp(min=1)).float().to(sparse.memory.device)
    sparse.memory.copy_(torch.where(reads.to(sparse.memory.device) > 0, means, sparse.memory))
    if sparse.quantizer:
        least = START_RANGE / (1 << (sparse.quantizer.bits - 1))
        fitted = best_step(sparse.memory.numpy(force=True), sparse.quantizer.bits)
        sparse.quantizer.log_step.fill_(math.log(max(least, fitted)))


def _columns(counts: list[IdCounts], first: int) -> tuple[Int64s, Int64s]:
    """The next ids of each field, [ids, fields], and how often they come: 0 where a field has no more."""
    parts = [(it.ids[first : first + AT_ONCE], it.times[first : first + AT_ONCE]) for it in counts]
    ids, times = np.zeros((2, max(len(part) for part, _ in parts), len(counts)), np.int64)
    for f, (part, often) in enumerate(parts):
        ids[: len(part), f], times[: len(part), f] = part, often
    return ids, times
