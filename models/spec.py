"""The description of a model that travels inside its artifact."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, computed_field, model_validator

SCHEMA_VERSION = 1
FLOAT_BYTES = 4
HALF_BYTES = 2
METADATA_KEY = "thimble"
MODEL_FILE = "model.onnx"

Kind = Literal["int", "hex", "string"]
MemoryPrecision = Literal["fp32", "fp16"]
MlpPrecision = Literal["fp32", "fp16", "int8"]
Positive = Annotated[int, Field(gt=0)]
Constant = Annotated[int, Field(ge=0, lt=1 << 31)]  # so that hashing cannot overflow int64
# no control characters, and no spaces at the ends
Name = Annotated[str, Field(max_length=128, pattern=r"^[^\s\x00-\x1f]([^\x00-\x1f]*[^\s\x00-\x1f])?$")]
MODEL_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Categorical(_Frozen):
    """One categorical feature.

    `kind` says how its values are written: `int` as integers, `hex` as hexadecimal tokens (Criteo's), `string` as any
    text, hashed with xxh3_64 >> 4. `rows` is the length of the table that an ordinary DLRM would keep for it.
    """

    name: Name
    kind: Kind
    rows: Positive


class BlockEmbedding(_Frozen):
    """Thimble's own map: chunks start at multiples of `chunk_size`, every field and chunk with constants of its own.

    `a`, `b` and `s` are [fields, chunks]; see `thimble.models.hashing` for the formula.
    """

    scheme: Literal["block"] = "block"
    version: Literal[1] = 1
    memory_length: Positive
    chunk_size: Positive
    a: list[list[Constant]]
    b: list[list[Constant]]
    s: list[list[Constant]]

    @model_validator(mode="after")
    def _whole_slots(self) -> Self:
        if self.memory_length % self.chunk_size:
            raise ValueError(
                f"memory_length {self.memory_length} must be a multiple of chunk_size {self.chunk_size} for block"
            )
        return self


class RobeEmbedding(_Frozen):
    """The maps published with ROBE (MLSys 2022), kept so that checkpoints trained with them can be served.

    `constants` are the authors' R1, R2 and R3; `offsets` is where each field's indices start in the joint table.
    """

    scheme: Literal["robe-v1", "robe-v2"]
    version: Literal[1] = 1
    memory_length: Positive
    chunk_size: Positive
    constants: tuple[int, int, int]
    offsets: list[int]

    @model_validator(mode="after")
    def _room_for_a_chunk(self) -> Self:
        if self.memory_length <= self.chunk_size:
            raise ValueError(f"memory_length {self.memory_length} must exceed chunk_size {self.chunk_size}")
        return self


class FullEmbedding(_Frozen):
    """Ordinary tables, the baseline: field f reads row `id mod table_rows[f]` of its own table."""

    scheme: Literal["full"] = "full"
    version: Literal[1] = 1
    table_rows: list[Positive]


Embedding = Annotated[BlockEmbedding | RobeEmbedding | FullEmbedding, Field(discriminator="scheme")]


class Provenance(_Frozen):
    """Where the weights come from."""

    source: str
    rows_trained: int
    epochs: int
    batch_size: int
    seed: int
    tool: str


class Metrics(_Frozen):
    """Quality on rows that were not trained on.

    `auc_interval` is a 95 % interval (DeLong); it and the AUC are absent when the held-out rows are all of one class.
    `best_auc` is the AUC of the hidden truth on the same rows, known for generated clicks alone.
    """

    rows: int
    base_rate: float
    log_loss: float
    auc: float | None = None
    auc_interval: tuple[float, float] | None = None
    best_auc: float | None = None


class Precision(_Frozen):
    """How a file holds its weights: the embeddings (shared memory or tables) and the MLPs.

    All arithmetic is float32, but for the inner layers of `int8` MLPs.
    """

    memory: MemoryPrecision = "fp32"
    mlps: MlpPrecision = "fp32"

    def __str__(self) -> str:
        return self.mlps if self.memory == self.mlps else f"{self.memory} embeddings, {self.mlps} MLPs"

    @property
    def golden_tolerance(self) -> float:
        """How far a golden row's score may lie from the one written down: int8 differs between processors."""
        return 5e-3 if self.mlps == "int8" else 1e-4


class PrecisionCost(_Frozen):
    """What an artifact's precision changes on held-out rows: its own value less that of the float32 model.

    The logits' changes are absolute; `auc` is absent when the rows are all of one class.
    """

    rows: int
    auc: float | None = None
    log_loss: float
    logit_mean: float
    logit_largest: float


class GoldenRows(_Frozen):
    """Rows and the scores that this model must give them.

    `features` is written as a request is (`POST /v1/score`): every feature a list with one value a row, None = missing.
    """

    features: dict[str, list[int | float | str | None]]
    scores: list[float]

    @model_validator(mode="after")
    def _one_score_a_row(self) -> Self:
        if not self.scores:
            raise ValueError("golden rows are empty")
        for name, values in self.features.items():
            if len(values) != len(self.scores):
                raise ValueError(f"golden feature {name} has {len(values)} values for {len(self.scores)} scores")
        return self


class ModelSpec(_Frozen):
    """Everything but the weights of a click-through model.

    `dense_arch` and `over_arch` are layer widths after the input, so `dense_arch` ends with `embedding_dim` (the
    interaction needs it) and `over_arch` ends with 1.
    """

    schema_version: Literal[1] = 1
    name: Annotated[str, Field(pattern=f"^{MODEL_NAME}$")]
    dense: Annotated[list[Name], Field(min_length=1)]
    fields: Annotated[list[Categorical], Field(min_length=1)]
    embedding_dim: Positive
    embedding: Embedding
    dense_arch: Annotated[list[Positive], Field(min_length=1)]
    over_arch: Annotated[list[Positive], Field(min_length=1)]
    precision: Precision = Precision()
    provenance: Provenance | None = None
    metrics: Metrics | None = None
    precision_cost: PrecisionCost | None = None
    golden: GoldenRows | None = None

    @model_validator(mode="before")
    @classmethod
    def _known_schema(cls, data: Any) -> Any:
        found = data.get("schema_version", SCHEMA_VERSION) if isinstance(data, dict) else SCHEMA_VERSION
        if found != SCHEMA_VERSION:
            raise ValueError(
                f"schema_version {found} is not the one this program reads ({SCHEMA_VERSION}); use a matching release"
            )
        return data

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = self.feature_names
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"feature names must be unique, these are not: {', '.join(twice)}")
        if self.dense_arch[-1] != self.embedding_dim:
            raise ValueError(f"dense_arch must end with embedding_dim {self.embedding_dim}, not {self.dense_arch[-1]}")
        if self.over_arch[-1] != 1:
            raise ValueError(f"over_arch must end with 1, not {self.over_arch[-1]}")
        match self.embedding:
            case BlockEmbedding() as block:
                for letter in ("a", "b", "s"):
                    table: list[list[int]] = getattr(block, letter)
                    if len(table) != len(self.fields) or any(len(row) != self.chunks for row in table):
                        raise ValueError(f"constants {letter} must be [{len(self.fields)}, {self.chunks}]")
            case RobeEmbedding(offsets=lengths) | FullEmbedding(table_rows=lengths):
                if len(lengths) != len(self.fields):
                    raise ValueError(f"{len(lengths)} offsets or table lengths for {len(self.fields)} fields")
        if self.golden is not None and (differing := set(self.golden.features) ^ set(names)):
            raise ValueError(f"golden rows must have exactly the model's features; see {', '.join(sorted(differing))}")
        return self

    @property
    def feature_names(self) -> list[str]:
        return [*self.dense, *(field.name for field in self.fields)]

    @property
    def chunks(self) -> int:
        """Chunks that make up one embedding, ceil(embedding_dim / chunk_size); 1 for full tables."""
        if isinstance(self.embedding, FullEmbedding):
            return 1
        return -(-self.embedding_dim // self.embedding.chunk_size)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def full_table_bytes(self) -> int:
        """What the embedding tables of an ordinary float32 DLRM of these fields weigh."""
        return sum(field.rows for field in self.fields) * self.embedding_dim * FLOAT_BYTES

    @computed_field  # type: ignore[prop-decorator]
    @property
    def embedding_bytes(self) -> int:
        """What this model's embedding weights weigh."""
        element = FLOAT_BYTES if self.precision.memory == "fp32" else HALF_BYTES
        if isinstance(self.embedding, FullEmbedding):
            return sum(self.embedding.table_rows) * self.embedding_dim * element
        return self.embedding.memory_length * element

    @property
    def compression(self) -> float:
        return self.full_table_bytes / self.embedding_bytes


def layer_widths(inputs: int, widths: Sequence[int]) -> list[tuple[int, int]]:
    """The (in, out) widths of an MLP's layers."""
    return list(zip([inputs, *widths[:-1]], widths, strict=True))
