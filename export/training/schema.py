"""The spec of a model to be trained: a preset, or one for the user's own columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from thimble.export.clicks.rows import ClickError
from thimble.models.architectures import architecture_for
from thimble.models.architectures.base import AskedSizes
from thimble.models.bags import Bag
from thimble.models.base import FLOAT_BYTES
from thimble.models.inputs import Categorical, Kind
from thimble.models.presets import MEMORY_BYTES, MEMORY_PRECISION, chunk_for, preset
from thimble.models.quantization import MemoryPrecision, stored_bytes
from thimble.models.schemes import embedding_for
from thimble.models.schemes.base import HashedEmbedding
from thimble.models.spec import ModelSpec, Precision
from thimble.models.transforms import Transform
from thimble.models.transforms.criteo import CriteoTransform

SMALL_BYTES = 1 << 16
CRITEO = CriteoTransform()


def preset_spec(
    shape: str,
    name: str | None,
    scheme: str,
    memory: int | None,
    chunk: int | None,
    seed: int,
    precision: MemoryPrecision | None = None,
    arch: str | None = None,
) -> ModelSpec:
    """A preset, its embedding and architecture changed where asked.

    ValueError: no such preset, scheme or architecture, or it cannot be changed so.
    """
    spec = preset(shape, seed, arch)
    assert isinstance(spec.embedding, HashedEmbedding)
    chunk = chunk or spec.embedding.chunk_size
    precision = precision or default_precision(scheme, chunk)
    memory = memory or spec.embedding_bytes
    embedding = embedding_for(scheme, spec.fields, spec.embedding_dim, memory, chunk, seed, precision)
    changed = {"name": name or spec.name, "embedding": embedding, "precision": Precision(memory=precision)}
    return ModelSpec.model_validate({**spec.model_dump(), **changed})


def default_precision(scheme: str, chunk: int) -> MemoryPrecision:
    """MEMORY_PRECISION where the scheme has it, else fp32. ValueError: it has, but not in chunks of so many weights."""
    if scheme != "block":
        return "fp32"
    if chunk % 2 and MEMORY_PRECISION == "int4":
        raise ValueError(
            f"embeddings have 4 bits where nothing is said, which takes an even --chunk, not {chunk}: "
            "give an even one, or --memory-precision fp32"
        )
    return MEMORY_PRECISION


def default_memory(fields: Sequence[Categorical], dim: int, chunk: int, precision: MemoryPrecision) -> int:
    """Bytes of the shared array as stored, for own columns: a tenth of what full tables have, 10 MB at the most.

    They do not depend on the precision: fewer bits are there for more weights. What is small is not worth making
    smaller: up to SMALL_BYTES the array has as many bytes as the tables. It has room for two embeddings at the least.
    """
    tables = sum(field.rows for field in fields) * dim * FLOAT_BYTES
    least = stored_bytes(2 * -(-dim // chunk) * chunk, precision)
    return max(min(tables // 10, MEMORY_BYTES), min(tables, SMALL_BYTES), least)


@dataclass(frozen=True, kw_only=True)
class OwnModel:
    """What is asked of a model of the user's own columns, before anything is known of what they hold.

    `bags` are those of fields by their names. `memory` are bytes and `chunk` weights of the shared array. `dense_arch`
    and `over_arch` are hidden widths: the embeddings' dimension and the logit's 1 come after them. Sizes that are None
    are as the architecture has them.
    """

    name: str = "model"
    dense: Sequence[str]
    fields: Mapping[Kind, Sequence[str]]
    bags: Mapping[str, Bag] = field(default_factory=dict)
    scheme: str = "block"
    memory: int | None = None
    chunk: int | None = None
    precision: MemoryPrecision | None = None
    embedding_dim: int = 16
    arch: str = "dlrm"
    dense_arch: Sequence[int] | None = None
    over_arch: Sequence[int] | None = None
    cross_layers: int | None = None
    cross_rank: int | None = None
    seed: int = 0

    def spec(self, ids: Mapping[str, int] | None = None, transform: Transform = CRITEO) -> ModelSpec:
        """`ids` says how many different ones each field has. ClickError: no column. ValueError: a bad value."""
        if not self.dense and not any(self.fields.values()):
            raise ClickError("name the features' columns with --dense, --int, --hex or --string, or give a --preset")
        fields = [
            Categorical(name=column, kind=kind, rows=(ids or {}).get(column, 1), bag=self.bags.get(column))
            for kind, names in self.fields.items()
            for column in names
        ]
        chunk = self.chunk or chunk_for(self.embedding_dim)
        precision = self.precision or (default_precision(self.scheme, chunk) if fields else "fp32")
        memory = self.memory or default_memory(fields, self.embedding_dim, chunk, precision)
        return ModelSpec(
            name=self.name,
            dense=list(self.dense),
            dense_transform=transform,
            fields=fields,
            embedding_dim=self.embedding_dim,
            embedding=embedding_for(self.scheme, fields, self.embedding_dim, memory, chunk, self.seed, precision),
            architecture=architecture_for(
                self.arch,
                AskedSizes(
                    numbers=len(self.dense),
                    fields=len(fields),
                    embedding_dim=self.embedding_dim,
                    dense_arch=self.dense_arch,
                    over_arch=self.over_arch,
                    cross_layers=self.cross_layers,
                    cross_rank=self.cross_rank,
                ),
            ),
            precision=Precision(memory=precision),
        )
