"""A plan in words."""

from thimble.export.plan.memory_plan import MemoryPlan
from thimble.export.wording import counted, size, times


def in_words(plan: MemoryPlan) -> list[str]:
    """Lines for people."""
    dim = plan.embedding_dim
    # of a preset nobody has counted which of its ids so many rows read
    once = " in its tables" if plan.ids_once is None else f", {plan.ids_once:,} of them read once"
    compression = plan.full_table_bytes / plan.memory_bytes
    smaller = f"{times(compression)} smaller" if compression > 1 else "no smaller"
    row = plan.projection
    return [
        f"{plan.source}: {counted(plan.rows, 'row')}, {counted(plan.fields, 'field')}, {counted(plan.ids, 'id')}{once}",
        f"full tables: {size(plan.full_table_bytes)}, {dim} floats an id",
        f"memory: {size(plan.memory_bytes)} in {plan.precision}, {smaller}, in chunks of {plan.chunk_size}, "
        f"{plan.chunks:,} an embedding; {_cache(plan)}",
        "",
        *_table(plan),
        "  ids a weight: that read it; alike: the chance that two ids share all chunks;",
        "  different: embeddings that are expected of all ids; others' share: of what trains a weight that is read",
        "",
        f"all inner products of {counted(row.rows, 'row')}: {_kept(plan)}, and {row.epsilon:.0%} would take "
        f"{_needed(plan)} (a bound of ours for block, right but for a chance of {row.failure:.0%})",
        *_hot_rows(plan),
        f"training: {plan.pace.rows_per_second:,.0f} rows/s in {counted(plan.pace.steps, 'step')} of "
        f"{counted(round(plan.pace.step_rows), 'row')} on this machine's {plan.pace.device}{_epoch(plan)}",
        "",
        "recommended:",
        f"  --memory {plan.recommendation.memory_bytes}  {plan.recommendation.memory_reason}",
        f"  --memory-precision {plan.recommendation.precision}  {plan.recommendation.precision_reason}",
        f"  --chunk {plan.recommendation.chunk_size}  {plan.recommendation.chunk_reason}",
        f"  --hot-rows {plan.recommendation.hot_rows}  {plan.recommendation.hot_rows_reason}",
    ]


def _table(plan: MemoryPlan) -> list[str]:
    rows = [("in these bytes", "slots", "ids a weight", "alike", "different", "others' share")]
    rows += [
        (
            f"{it.scheme} {it.precision}",
            f"{it.slots:,}",
            f"{it.slot_load:,.0f}" if it.slot_load >= 10 else f"{it.slot_load:.2g}",
            f"{it.all_shared:.1e}",
            f"{it.distinct_embeddings:,.0f}",
            f"{it.shared_share:.1%}",
        )
        for it in plan.sharing
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for name, *cells in rows:
        aligned = (f"{cell:>{width}}" for cell, width in zip(cells, widths[1:], strict=True))
        lines.append("  ".join(["", f"{name:<{widths[0]}}", *aligned]))
    return lines


def _kept(plan: MemoryPlan) -> str:
    within = plan.projection.within
    return f"kept within {within:.0%} by this memory" if within < 1 else "this memory is too small for them"


def _needed(plan: MemoryPlan) -> str:
    needed = plan.projection.needed_bytes
    if needed is None:
        return "more memory than could be built"
    return size(needed) if needed < plan.full_table_bytes else "no less than full tables have"


def _hot_rows(plan: MemoryPlan) -> list[str]:
    hot = plan.hot_rows
    if hot is None:
        return []
    if not hot.ids:
        return ["hot rows: --hot-rows auto would give none"]
    whose = f"{counted(hot.ids, 'id')} with {hot.reads:.0%} of the reads"
    return [f"hot rows: --hot-rows auto would give rows of their own to {whose}"]


def _cache(plan: MemoryPlan) -> str:
    if not plan.caches:
        return "this machine does not say what caches it has"
    if plan.cache is None:
        return f"larger than any cache of this machine ({size(plan.caches[-1].bytes)})"
    return f"fits this machine's L{plan.cache.level} cache ({size(plan.cache.bytes)})"


def _epoch(plan: MemoryPlan) -> str:
    seconds = plan.epoch_seconds
    if seconds < 0.05:  # 0.0 in words
        return ", without reading files"
    return f", so about {_duration(seconds)} an epoch: a projection, without reading files"


def _duration(seconds: float) -> str:
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds:.1f} seconds"
