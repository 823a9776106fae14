"""Well-known shapes. Table lengths are those of MLPerf's Criteo-TB DLRM and of Criteo-Kaggle DLRM."""

from thimble.models.hashing import ROBE_CONSTANTS, block_constants
from thimble.models.spec import BlockEmbedding, Categorical, Embedding, FullEmbedding, ModelSpec, RobeEmbedding

CRITEO_TB_ROWS = [
    *(39884406, 39043, 17289, 7420, 20263, 3, 7120, 1543, 63, 38532951, 2953546, 403346, 10),
    *(2208, 11938, 155, 4, 976, 14, 39979771, 25641295, 39664984, 585935, 12972, 108, 36),
]
CRITEO_KAGGLE_ROWS = [
    *(1460, 583, 10131227, 2202608, 305, 24, 12517, 633, 3, 93145, 5683, 8351593, 3194),
    *(27, 14992, 5461306, 10, 5652, 2173, 4, 7046547, 18, 15, 286181, 105, 142572),
]
CRITEO_DENSE = [f"I{i}" for i in range(1, 14)]
MEMORY_BYTES = 10_000_000
# What leaves room for MLPerf's MLPs in a file of 10,000,000 bytes once the array is fp16 and the MLPs are int8.
DEMO_MEMORY_BYTES = 14_400_000


def criteo_fields(rows: list[int]) -> list[Categorical]:
    """C1..C26 as Criteo's logs have them: hexadecimal tokens."""
    return [Categorical(name=f"C{i}", kind="hex", rows=n) for i, n in enumerate(rows, 1)]


def embedding_for(
    scheme: str, fields: list[Categorical], dim: int, memory_bytes: int, chunk: int, seed: int
) -> Embedding:
    """An untrained embedding; `memory_bytes` is rounded down to whole chunks. ValueError: no such scheme, few bytes."""
    memory = memory_bytes // 4 // chunk * chunk
    if memory <= chunk and scheme != "full":
        raise ValueError(f"a memory of {memory_bytes} bytes does not hold two chunks of {chunk} floats")
    match scheme:
        case "block":
            a, b, s = block_constants(seed, len(fields), -(-dim // chunk)).tolist()
            return BlockEmbedding(memory_length=memory, chunk_size=chunk, a=a, b=b, s=s)
        case "robe-v1" | "robe-v2":
            starts = [sum(field.rows for field in fields[:f]) for f in range(len(fields))]
            return RobeEmbedding(
                scheme=scheme, memory_length=memory, chunk_size=chunk, constants=ROBE_CONSTANTS, offsets=starts
            )
        case "full":
            return FullEmbedding(table_rows=[full_rows(field) for field in fields])
    raise ValueError(f"no scheme {scheme!r}; there are block, robe-v1, robe-v2 and full")


def full_rows(field: Categorical) -> int:
    """Length of a field's full table. A string's id is a 60-bit hash, so eight rows a value keep most values alone."""
    return field.rows * 8 if field.kind == "string" else field.rows


def preset(name: str, seed: int = 0) -> ModelSpec:
    """A compressed model of a known shape, untrained. ValueError when there is none of that name."""
    match name:
        case "criteo-tb" | "demo":
            rows, dim, dense_arch, over_arch = CRITEO_TB_ROWS, 128, [512, 256, 128], [1024, 1024, 512, 256, 1]
        case "criteo-kaggle":
            rows, dim, dense_arch, over_arch = CRITEO_KAGGLE_ROWS, 16, [512, 256, 64, 16], [512, 256, 1]
        case _:
            raise ValueError(f"no preset {name!r}; there are criteo-tb, criteo-kaggle and demo")
    fields = criteo_fields(rows)
    memory_bytes = DEMO_MEMORY_BYTES if name == "demo" else MEMORY_BYTES
    return ModelSpec(
        name=name,
        dense=CRITEO_DENSE,
        fields=fields,
        embedding_dim=dim,
        embedding=embedding_for("block", fields, dim, memory_bytes, 32 if dim == 128 else 8, seed),
        dense_arch=dense_arch,
        over_arch=over_arch,
    )
