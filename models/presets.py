"""Well-known shapes. Table lengths are those of MLPerf's two Criteo-TB DLRMs and of Criteo-Kaggle DLRM."""

from collections.abc import Sequence

from thimble.models.architectures import architecture_for
from thimble.models.architectures.base import AskedSizes
from thimble.models.bags import Bag
from thimble.models.inputs import Categorical
from thimble.models.quantization import MemoryPrecision
from thimble.models.schemes import embedding_for
from thimble.models.spec import ModelSpec

CRITEO_TB_ROWS = [
    *(39884406, 39043, 17289, 7420, 20263, 3, 7120, 1543, 63, 38532951, 2953546, 403346, 10),
    *(2208, 11938, 155, 4, 976, 14, 39979771, 25641295, 39664984, 585935, 12972, 108, 36),
]
# DLRM-DCNv2's, of the same clicks, and how many ids of each a row has (mlcommons/training, recommendation_v2).
CRITEO_TB_V2_ROWS = [
    *(40000000, 39060, 17295, 7424, 20265, 3, 7122, 1543, 63, 40000000, 3067956, 405282, 10),
    *(2209, 11938, 155, 4, 976, 14, 40000000, 40000000, 40000000, 590152, 12973, 108, 36),
]
CRITEO_TB_V2_VALUES = [3, 2, 1, 2, 6, 1, 1, 1, 1, 7, 3, 8, 1, 6, 9, 5, 1, 1, 1, 12, 100, 27, 10, 3, 1, 1]
CRITEO_KAGGLE_ROWS = [
    *(1460, 583, 10131227, 2202608, 305, 24, 12517, 633, 3, 93145, 5683, 8351593, 3194),
    *(27, 14992, 5461306, 10, 5652, 2173, 4, 7046547, 18, 15, 286181, 105, 142572),
]
CRITEO_DENSE = [f"I{i}" for i in range(1, 14)]
FEED_DENSE = ["age_hours", "position"]
# Of ours: a table has a row more than it has ids.
FEED_ROWS = {"user": 50_001, "item": 4_000_001, "publisher": 20_001, "category": 201, "device": 9, "hour": 25}
MEMORY_BYTES = 10_000_000
MEMORY_PRECISION: MemoryPrecision = "int4"
"""That models of the scheme `block` are trained for unless somebody says otherwise (docs/adr/0020-few-bits.md)."""
# What leaves room for MLPerf's MLPs in int8 in a file of 10,000,000 bytes.
DEMO_MEMORY_BYTES = 7_200_000
# A hundredth of what the tables have.
FEED_MEMORY_BYTES = 2_600_000
# Of the public logs: all 24 days, and all of the challenge's training file. Ten days of ours.
LOG_ROWS = {
    **dict.fromkeys(("criteo-tb", "criteo-tb-v2", "demo"), 4_373_472_329),
    **{"criteo-kaggle": 45_840_617, "feed": 1_000_000},
}
NAMES = ("criteo-tb", "criteo-tb-v2", "criteo-kaggle", "feed", "demo")


def chunk_for(dim: int) -> int:
    """Weights of a chunk where nobody says how many: an even number, so that an embedding lies in about four places.

    Two places do far worse where much is shared, eight no better (docs/adr/0022-small-array.md).
    """
    return max(2, 2 * round(dim / 8))


def criteo_fields(rows: Sequence[int], values: Sequence[int] | None = None) -> list[Categorical]:
    """C1..C26 as Criteo's logs have them: hexadecimal tokens. Those with more than one of `values` are bags of sums."""
    bags = [Bag(values=n, pooling="sum") if n > 1 else None for n in values or [1] * len(rows)]
    return [
        Categorical(name=f"C{i}", kind="hex", rows=n, bag=bag)
        for i, (n, bag) in enumerate(zip(rows, bags, strict=True), 1)
    ]


def preset(name: str, seed: int = 0, arch: str | None = None) -> ModelSpec:
    """A compressed model of a known shape, untrained. ValueError when there is none of that name.

    Its architecture is its own, or another one whose layers are as wide where both have them.
    """
    dense, memory_bytes = CRITEO_DENSE, MEMORY_BYTES
    own, cross_rank = "dlrm", None
    dense_arch: list[int] | None = None
    over_arch: list[int] | None = None
    match name:
        case "criteo-tb" | "criteo-tb-v2" | "demo":
            fields, dim = criteo_fields(CRITEO_TB_ROWS), 128
            if name == "criteo-tb-v2":
                own, fields = "dcnv2", criteo_fields(CRITEO_TB_V2_ROWS, CRITEO_TB_V2_VALUES)
            dense_arch, cross_rank, over_arch = [512, 256], 512, [1024, 1024, 512, 256]
            memory_bytes = DEMO_MEMORY_BYTES if name == "demo" else MEMORY_BYTES
        case "criteo-kaggle":
            fields, dim = criteo_fields(CRITEO_KAGGLE_ROWS), 16
            dense_arch, over_arch = [512, 256, 64], [512, 256]
        case "feed":
            fields = [Categorical(name=field, kind="int", rows=n) for field, n in FEED_ROWS.items()]
            dense, dim, memory_bytes = FEED_DENSE, 16, FEED_MEMORY_BYTES
        case _:
            raise ValueError(f"no preset {name!r}; there are {', '.join(NAMES[:-1])} and {NAMES[-1]}")
    asked = AskedSizes(
        numbers=len(dense),
        fields=len(fields),
        embedding_dim=dim,
        dense_arch=dense_arch,
        over_arch=over_arch,
        cross_rank=cross_rank,
    )
    return ModelSpec(
        name=name,
        dense=dense,
        fields=fields,
        embedding_dim=dim,
        embedding=embedding_for("block", fields, dim, memory_bytes, chunk_for(dim), seed),
        architecture=architecture_for(arch or own, asked),
    )
