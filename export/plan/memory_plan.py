"""The plan of a model's memory: all that can be said of it before training."""

from collections.abc import Sequence
from itertools import product

from thimble.export.clicks.rows import Rows
from thimble.export.plan.caches import Cache, first_that_holds
from thimble.export.plan.pace import Pace
from thimble.export.plan.projection import FAILURE, kept_within, needed_slots
from thimble.export.plan.read_ids import ReadIds
from thimble.export.plan.recommendation import Recommendation, recommended
from thimble.export.plan.sharing import ReadGaps, all_shared, distinct_embeddings, places, slot_load, spread
from thimble.export.training.hot_rows import with_hot_rows
from thimble.models.bags import widths
from thimble.models.base import Frozen
from thimble.models.quantization import MemoryPrecision, stored_bytes
from thimble.models.schemes import SCHEMES, embedding_for
from thimble.models.schemes.base import HashedEmbedding
from thimble.models.schemes.block import BlockEmbedding
from thimble.models.spec import ModelSpec

# That are shown beside each other; fp16 lies in between.
_PRECISIONS: tuple[MemoryPrecision, ...] = ("fp32", "int8", "int4")


class Sharing(Frozen):
    """What ids share in a memory of one scheme and precision.

    `slot_load` is how many ids read a weight of it, on average. `all_shared` is the chance that two ids share all their
    chunks, and `distinct_embeddings` are expected of all ids. `shared_share` is the share of what trains a read weight
    that comes from other ids, where every read counts.
    """

    scheme: str
    precision: MemoryPrecision
    slots: int
    slot_load: float
    distinct_embeddings: float
    all_shared: float
    shared_share: float


class Projection(Frozen):
    """What `thimble.export.plan.projection` says of `rows` rows, but for a chance of `failure`, of `block`.

    `needed_bytes` of memory keep inner products within `epsilon`, None: more than could be built. This memory keeps
    them `within`.
    """

    rows: int
    failure: float
    epsilon: float
    needed_bytes: int | None
    within: float


class HotRows(Frozen):
    """To how many ids `--hot-rows auto` would give rows of their own in this memory, and their share of all reads."""

    ids: int
    reads: float


class MemoryPlan(Frozen):
    """`ids` are different ones, of all fields together: those that come in files, or all that a preset's tables have
    rows for, of which `rows` rows, those to train on, may not read each. `ids_once` is known of files alone.

    `hot_rows` are counted in files; None for a preset. `caches` are this machine's, and `cache` the nearest that the
    memory fits in. `epoch_seconds` is a projection from the pace.
    """

    source: str
    rows: int
    fields: int
    ids: int
    ids_once: int | None
    embedding_dim: int
    full_table_bytes: int
    memory_bytes: int
    precision: MemoryPrecision
    chunk_size: int
    chunks: int
    sharing: tuple[Sharing, ...]
    projection: Projection
    hot_rows: HotRows | None
    caches: tuple[Cache, ...]
    cache: Cache | None
    pace: Pace
    epoch_seconds: float
    recommendation: Recommendation


def sharing(spec: ModelSpec, ids: ReadIds) -> list[Sharing]:
    """Of everything that shares a memory, with the spec's bytes and chunk; what these are too few for is left out."""
    mine, dim = spec.embedding, spec.embedding_dim
    assert isinstance(mine, HashedEmbedding)
    gaps = ReadGaps(ids.traffic)
    found = []
    for scheme, precision in product(SCHEMES, _PRECISIONS):
        try:
            embedding = embedding_for(scheme, spec.fields, dim, spec.embedding_bytes, mine.chunk_size, 0, precision)
            embedding.check_precision(precision)
        except ValueError:
            continue
        if isinstance(embedding, HashedEmbedding):
            where = places(embedding, dim)
            found.append(
                Sharing(
                    scheme=scheme,
                    precision=precision,
                    slots=embedding.hash_map(dim).slots,
                    slot_load=slot_load(ids.different, embedding, dim),
                    distinct_embeddings=distinct_embeddings(ids.different, where),
                    all_shared=all_shared(where),
                    shared_share=gaps.shared_share(spread(embedding, dim)),
                )
            )
    return found


def projection(spec: ModelSpec, rows: int, epsilon: float) -> Projection:
    """Of rows that read every field of a spec once, and of a bag as many ids as it has room for."""
    embedding = spec.embedding
    assert isinstance(embedding, HashedEmbedding)
    row_chunks = sum(widths(spec.bags)) * embedding.chunks(spec.embedding_dim)
    slots = needed_slots(epsilon, row_chunks, rows)
    return Projection(
        rows=rows,
        failure=FAILURE,
        epsilon=epsilon,
        needed_bytes=None if slots is None else stored_bytes(slots * embedding.chunk_size, spec.precision.memory),
        within=kept_within(embedding.memory_length // embedding.chunk_size, row_chunks, rows),
    )


def hot_rows_of(spec: ModelSpec, rows: Rows) -> HotRows:
    """What the rule of `train` finds in rows, which are read once more."""
    embedding = with_hot_rows(spec, rows).spec.embedding
    hot = embedding.hot if isinstance(embedding, BlockEmbedding) else None
    return HotRows(ids=hot.ids, reads=hot.reads) if hot else HotRows(ids=0, reads=0)


def memory_plan(
    spec: ModelSpec,
    source: str,
    ids: ReadIds,
    epsilon: float,
    pace: Pace,
    caches: Sequence[Cache],
    hot: HotRows | None = None,
) -> MemoryPlan:
    """The plan of a model whose embedding is a shared memory. `hot` are what its files' ids would have."""
    embedding = spec.embedding
    assert isinstance(embedding, HashedEmbedding)
    return MemoryPlan(
        source=source,
        rows=ids.rows,
        fields=len(spec.fields),
        ids=ids.different,
        ids_once=ids.once,
        embedding_dim=spec.embedding_dim,
        full_table_bytes=spec.full_table_bytes,
        memory_bytes=spec.embedding_bytes,
        precision=spec.precision.memory,
        chunk_size=embedding.chunk_size,
        chunks=embedding.chunks(spec.embedding_dim),
        sharing=tuple(sharing(spec, ids)),
        projection=projection(spec, ids.rows, epsilon),
        hot_rows=hot,
        caches=tuple(caches),
        cache=first_that_holds(caches, spec.embedding_bytes),
        pace=pace,
        epoch_seconds=ids.rows / pace.rows_per_second,
        recommendation=recommended(spec, ids.traffic, ids.different),
    )
