"""Rows of their own for the hottest ids of a shared memory, within the same bytes: whose, and how they begin.

Which ids are hot is counted in the rows to train on, how many are is computed (`thimble.export.training.sharing`).
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch.optim import Optimizer

from thimble.export.clicks.frequent_ids import LEAST, IdCounts, id_counts
from thimble.export.clicks.rows import Rows
from thimble.export.training.ancestry import Parent
from thimble.export.training.keyed import Keyed
from thimble.export.training.sharing import Traffic
from thimble.models.directory import LANES, LOAD, fill, placed
from thimble.models.hashing import Int64s
from thimble.models.hot_rows import KEY_BYTES, HotDirectory, Keys, find, hot_keys
from thimble.models.nn.recommender import Recommender
from thimble.models.nn.shared_memory import SharedMemory
from thimble.models.quantization import BITS, weights_in
from thimble.models.schemes.block import BlockEmbedding
from thimble.models.spec import ModelSpec

MOST_IDS = 1 << 23
"""Of a field that are counted at a time: more than have a row in any memory of this kind, and 128 MiB."""
STEPS = 32
"""Shares of the memory that are tried for hot rows. What is lost hardly changes from one to the next."""
DEVIATIONS = 3
"""Of the difference of two counts, the least that is no chance."""
AT_ONCE = 1 << 14
"""Ids of a field whose slots are computed at a time."""


def with_hot_rows(spec: ModelSpec, rows: Rows) -> Keyed:
    """The model with a row for each of the hottest ids, in as many bytes as before. The rows are read once.

    It stays as it is where its scheme has no hot rows, or where they would cost more than they bring.
    """
    if not isinstance(spec.embedding, BlockEmbedding):
        return Keyed(spec)
    counts = id_counts(rows, spec.bags, MOST_IDS)
    reads = np.concatenate([of_field.times for of_field in counts])
    field = np.repeat(np.arange(len(counts)), [len(of_field.ids) for of_field in counts])
    hottest = np.argsort(-reads, kind="stable")
    traffic = Traffic(reads, once=sum(of_field.forgotten for of_field in counts))
    layout = _Layout(spec, spec.embedding)
    worthy = int(np.count_nonzero(reads >= LEAST))  # who came once may never come again
    best, least = 0, traffic.lost(0, layout.slots(0), layout.chunks)
    for share in range(1, STEPS):
        count = min(worthy, int(layout.most * share / STEPS))
        places = layout.places(np.bincount(field[hottest[:count]], minlength=len(counts)))
        if (shared := layout.slots(places)) < layout.chunks:
            break
        if (lost := traffic.lost(count, shared, layout.chunks)) < least:
            best, least = count, lost
    ids, chosen = np.concatenate([of_field.ids for of_field in counts]), hottest[:best]
    return with_rows_for(
        spec, [ids[chosen[field[chosen] == f]] for f in range(len(counts))], _share(reads[chosen], counts)
    )


def with_rows_for(spec: ModelSpec, ids: Sequence[Int64s], reads: float) -> Keyed:
    """The model with a row for each of these ids of each field, whose share of all reads is `reads`.

    It stays as it is where its bytes do not hold them.
    """
    embedding = spec.embedding
    assert isinstance(embedding, BlockEmbedding)
    directory, lying = fill(ids)
    layout = _Layout(spec, embedding)
    if not any(map(len, ids)) or layout.slots(directory.places) < layout.chunks:
        return Keyed(spec)
    count = int(np.count_nonzero(hot_keys(directory, lying) >= 0))
    changed = {
        "version": 2,
        "memory_length": layout.memory_length(directory.places),
        "hot": HotDirectory(**directory.model_dump(), ids=count, reads=reads),
    }
    embedding = BlockEmbedding.model_validate(dict(embedding) | changed)
    return Keyed(ModelSpec.model_validate(dict(spec) | {"embedding": embedding}), lying)


def promoted(parent: Parent, spec: ModelSpec, rows: Rows) -> Keyed:
    """The model that goes on from another one, its rows those of the ids that are hot in the rows to train on.

    In each field an id takes the place of one that comes less often now, by more than chance has it. There are as many
    rows as before, and every id without one reads what it read. Where no id of a field does, or they do not fit into
    its buckets any more, all of them stay where they are.
    """
    if not isinstance(spec.embedding, BlockEmbedding) or spec.embedding.hot is None:
        return Keyed(spec)
    hot = spec.embedding.hot
    counts = id_counts(rows, spec.bags, MOST_IDS)
    before = np.split(parent.state["model"]["sparse_arch.hot.ids"].numpy(), np.cumsum(hot.buckets)[:-1])
    lying, reads = [], []
    for f, (old, of_field) in enumerate(zip(before, counts, strict=True)):
        held = old[old >= 0]
        hotter = _hotter(held, of_field)
        exchanged = not np.isin(hotter, held).all()
        new = placed(hot.of_field(f), hotter, np.random.default_rng(f)) if exchanged else None
        lying.append(old if new is None else new)
        reads.append(of_field.times_of(lying[-1][lying[-1] >= 0]))
    keys = np.concatenate(lying)
    known = hot.model_copy(
        update={
            "ids": int(np.count_nonzero(hot_keys(hot, keys) >= 0)),
            "reads": _share(np.concatenate(reads), counts),
        }
    )
    embedding = spec.embedding.model_copy(update={"hot": known})
    return Keyed(ModelSpec.model_validate(dict(spec) | {"embedding": embedding}), keys)


@torch.no_grad()
def give_rows(model: Recommender, keys: Int64s, optimizers: Sequence[Optimizer] = ()) -> None:
    """Give the rows to ids that lie in buckets [buckets, lanes]. Each begins as what its id has read until now.

    So does what optimizers remember of it.
    """
    sparse = model.sparse_arch
    assert isinstance(sparse, SharedMemory) and sparse.hot is not None
    assert isinstance(sparse.scheme, BlockEmbedding)
    after = hot_keys(sparse.hot.directory, keys)
    slots, before = (
        torch.from_numpy(moved).to(sparse.memory.device)
        for moved in _moves(sparse.scheme, sparse.dim, keys, sparse.hot.keys.cpu().numpy(), after)
    )
    remembered = [value for it in optimizers for value in it.state.get(sparse.memory, {}).values()]
    for values in (sparse.memory, *remembered):
        if torch.is_tensor(values) and values.shape == sparse.memory.shape:
            values[slots] = values[before]
    sparse.hot.keys.copy_(torch.from_numpy(after))
    sparse.hot.ids.copy_(torch.from_numpy(keys))


class _Layout:
    """How the bytes of a memory are parted among rows, keys and shared slots."""

    def __init__(self, spec: ModelSpec, embedding: BlockEmbedding) -> None:
        self.bytes: int = spec.embedding_bytes
        self.precision = spec.precision.memory
        self.chunk = embedding.chunk_size
        self.chunks = embedding.chunks(spec.embedding_dim)
        self.most = self.bytes / (self.chunks * self.chunk * BITS[self.precision] / 8 + KEY_BYTES) * LOAD
        """Rows, if all bytes were theirs."""

    def places(self, ids: Int64s) -> int:
        """For so many ids of each field."""
        return LANES * int(np.maximum(1, np.ceil(ids / (LANES * LOAD))).sum())

    def slots(self, places: int) -> int:
        """That are shared, beside so many places."""
        return self.memory_length(places) // self.chunk - places * self.chunks

    def memory_length(self, places: int) -> int:
        """Weights of all slots, those of rows among them."""
        return weights_in(self.bytes - places * KEY_BYTES, self.precision) // self.chunk * self.chunk


def _share(reads: Int64s, counts: Sequence[IdCounts]) -> float:
    """Of all reads."""
    total = sum(int(of_field.times.sum()) + of_field.forgotten for of_field in counts)
    return float(reads.sum() / max(1, total))


def _hotter(old: Int64s, counts: IdCounts) -> Int64s:
    """As many ids, some of them in the place of others that come less often, by more than chance has it."""
    others = np.isin(counts.ids, old, invert=True)
    hottest = np.argsort(-counts.times[others], kind="stable")[: len(old)]
    rising, more = counts.ids[others][hottest], counts.times[others][hottest]
    falling = old[np.argsort(counts.times_of(old), kind="stable")][: len(rising)]
    fewer = counts.times_of(falling)
    exchanged = int(np.count_nonzero(more - fewer > DEVIATIONS * np.sqrt(more + fewer)))
    return np.concatenate([np.setdiff1d(old, falling[:exchanged]), rising[:exchanged]])


def _moves(embedding: BlockEmbedding, dim: int, lying: Int64s, before: Keys, after: Keys) -> tuple[Int64s, Int64s]:
    """The slots of the rows of ids, and those that they read `before`."""
    assert embedding.hot is not None
    columns = [ids[ids >= 0] for ids in np.split(lying, np.cumsum(embedding.hot.buckets)[:-1])]
    slots: list[Int64s] = []
    sources: list[Int64s] = []
    for start in range(0, max(map(len, columns)), AT_ONCE):
        parts = [column[start : start + AT_ONCE] for column in columns]
        ids = np.zeros((max(map(len, parts)), len(parts)), np.int64)
        for f, part in enumerate(parts):
            ids[: len(part), f] = part
        own = find(embedding.hot, after, ids) >= 0  # of what fills a column up too, 0, if it is hot
        for keys, found in ((after, slots), (before, sources)):
            found.append(embedding.starts({"hot.keys": keys}, ids, dim)[own].ravel() // embedding.chunk_size)
    return np.concatenate(slots), np.concatenate(sources)
