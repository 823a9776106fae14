"""Well-known shapes. Table lengths are those of MLPerf's Criteo-TB DLRM and of Criteo-Kaggle DLRM."""

from thimble.models.architectures.dlrm import DlrmArchitecture
from thimble.models.inputs import Categorical
from thimble.models.schemes import embedding_for
from thimble.models.spec import ModelSpec

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
        architecture=DlrmArchitecture(dense_arch=dense_arch, over_arch=over_arch),
    )
