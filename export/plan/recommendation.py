"""How many bytes a memory should have, and how they are spent: rules of ours, for which docs/theory.md has reasons."""

import math
from typing import Literal

from thimble.export.plan.sharing import Places, ReadGaps, distinct_embeddings
from thimble.export.plan.traffic import Traffic
from thimble.export.training.schema import SMALL_BYTES
from thimble.export.wording import counted, size
from thimble.models.base import Frozen
from thimble.models.presets import chunk_for
from thimble.models.quantization import BITS, MemoryPrecision, weights_in
from thimble.models.spec import ModelSpec

SHARED = 0.1
"""So much of what trains a read weight may come from other ids."""
ALIKE = 1e-3
"""So many of the ids may have an embedding that another one has, too."""

HOT_ROWS_REASON = "rows for hot ids pay with some clicks and cost with others: tradeoff --hot-rows none,auto tells"


class Recommendation(Frozen):
    """Bytes, precision, weights of a chunk and how the bytes are split, each with its reason in a sentence."""

    memory_bytes: int
    memory_reason: str
    precision: MemoryPrecision
    precision_reason: str
    chunk_size: int
    chunk_reason: str
    hot_rows: Literal["none", "auto"]
    hot_rows_reason: str


def recommended(spec: ModelSpec, traffic: Traffic, ids: int) -> Recommendation:
    """For `block`, with the fields and the dimension of a spec."""
    dim = spec.embedding_dim
    precision: MemoryPrecision = "int8" if dim % 2 else "int4"
    memory_bytes, memory_reason = _memory(spec.full_table_bytes, dim, precision, ReadGaps(traffic))
    weights = weights_in(memory_bytes, precision)
    chunk_size, chunk_reason = _chunk(dim, precision, weights, ids)
    return Recommendation(
        memory_bytes=memory_bytes,
        memory_reason=memory_reason,
        precision=precision,
        precision_reason=f"{counted(weights, 'weight')} in these bytes, {32 // BITS[precision]} times as many as fp32",
        chunk_size=chunk_size,
        chunk_reason=chunk_reason,
        hot_rows="none",
        hot_rows_reason=HOT_ROWS_REASON,
    )


def _memory(tables: int, dim: int, precision: MemoryPrecision, gaps: ReadGaps) -> tuple[int, str]:
    """Bytes, and why."""

    def shared(memory_bytes: float) -> float:
        return gaps.shared_share(dim * BITS[precision] / 8 / memory_bytes)

    if tables <= SMALL_BYTES:
        return tables, f"full tables have no more, and less than {size(SMALL_BYTES)} is not worth making smaller"
    most = tables // 10
    if most <= SMALL_BYTES or shared(SMALL_BYTES) <= SHARED:
        others = f"other ids have {shared(SMALL_BYTES):.0%} of what trains a read weight"
        return SMALL_BYTES, f"less than {size(SMALL_BYTES)} is not worth making smaller, and with it {others}"
    if shared(most) > SHARED:
        hardly = f"other ids would have {SHARED:.0%} of what trains a read weight only with more, and they have"
        return most, f"a tenth of full tables: {hardly} {shared(most):.0%}"
    low, high = math.log(SMALL_BYTES), math.log(most)
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (low, middle) if shared(math.exp(middle)) <= SHARED else (middle, high)
    found = min(_rounded_up(math.exp(high)), most)
    return found, f"the least, in round figures, with which other ids have {SHARED:.0%} of what trains a read weight"


def _chunk(dim: int, precision: MemoryPrecision, weights: int, ids: int) -> tuple[int, str]:
    """Weights of a chunk, in a memory of so many, and why: about four an embedding, more where many would be alike."""
    unit = 2 if precision == "int4" else 1  # two of 4 bits lie in a byte
    most = max(chunk_for(dim), -(-dim // 4))
    candidates = [chunk for chunk in range(most, 0, -1) if dim % chunk == 0 and chunk % unit == 0]
    for chunk in candidates:
        ways = Places.independent(dim // chunk, max(weights // chunk, 1))
        alike = 1 - distinct_embeddings(ids, ways) / ids
        if alike <= ALIKE:
            break
    reads = f"{counted(dim // chunk, 'read')} for an embedding"
    if alike > ALIKE:
        return (
            chunk,
            f"the smallest there is for {precision}, {reads}: {alike:.1%} of the ids have another one's embedding",
        )
    return chunk, f"{reads}, and less than one id in a thousand has another one's"


def _rounded_up(count: float) -> int:
    """To two digits."""
    unit: int = 10 ** max(math.floor(math.log10(count)) - 1, 0)
    return math.ceil(count / unit) * unit
