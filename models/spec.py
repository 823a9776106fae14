"""The description of a model that travels inside its artifact."""

from typing import Annotated, Any, Final, Literal, Self

import numpy as np
from pydantic import Field, ValidationError, computed_field, model_validator

from thimble.models.architectures import Architecture
from thimble.models.bags import Bag
from thimble.models.base import FLOAT_BYTES, Frozen, Name, Positive, sentence
from thimble.models.hashing import Floats
from thimble.models.heads import SCORE, Heads, check_heads, outputs_of, together
from thimble.models.inputs import Categorical, Feature, InputTensor, input_tensors
from thimble.models.provenance import Imported, Provenance
from thimble.models.quantization import MemoryPrecision, stored_bytes
from thimble.models.schemes import Embedding
from thimble.models.schemes.block import BlockEmbedding
from thimble.models.schemes.none import NoEmbedding
from thimble.models.transforms import Transform
from thimble.models.transforms.criteo import CriteoTransform

SCHEMA_VERSION: Final = 2
METADATA_KEY = "thimble"
MODEL_FILE = "model.onnx"
MODEL_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"

MlpPrecision = Literal["fp32", "fp16", "int8"]


class SpecError(ValueError):
    """Why a text is no spec, in one sentence."""


class Metrics(Frozen):
    """Quality on rows that were not trained on. Losses are in nats; all intervals are 95 % intervals.

    `normalised_entropy` is the log loss over that of a constant, the base rate (He et al., ADKDD 2014); it and what
    ranks clicks are absent when the rows are all of one class. `calibration` is the scores' mean over the base rate,
    absent without clicks, and `calibration_error` the mean distance of score and click rate over rows in 20 bins.
    `best_auc` is the AUC of the hidden truth on the same rows, known for generated clicks alone. Where rows belong to
    `groups`, such as users, `group_auc` is the mean of the AUCs within them, each weighing as much as its rows; the
    `one_class_groups` have none and are left out, and intervals take groups as units instead of rows. An interval is
    absent where there is too little to tell it from. Of a log that kept but a share of its negatives, all figures are
    those of the full log, except for `rows`. Of a model of several answers they are the first one's, and `others` are
    the others', by name: each against its own label, on the same rows.
    """

    rows: int
    base_rate: float
    log_loss: float
    log_loss_interval: tuple[float, float] | None = None
    normalised_entropy: float | None = None
    normalised_entropy_interval: tuple[float, float] | None = None
    calibration: float | None = None
    calibration_interval: tuple[float, float] | None = None
    calibration_error: float | None = None
    auc: float | None = None
    auc_interval: tuple[float, float] | None = None
    best_auc: float | None = None
    group_auc: float | None = None
    group_auc_interval: tuple[float, float] | None = None
    groups: int | None = None
    one_class_groups: int | None = None
    others: dict[str, "Metrics"] | None = None

    @property
    def by_head(self) -> list["Metrics"]:
        """Of each answer, in their order."""
        return [self, *(self.others or {}).values()]

    @property
    def to_be_least(self) -> float:
        """What tells a better model: the log loss, and of several answers the mean of their normalised entropies.

        So a rare conversion counts as much as a common click. Those of one class have none and do not count.
        """
        known = [it.normalised_entropy for it in self.by_head if it.normalised_entropy is not None]
        return sum(known) / len(known) if self.others and known else self.log_loss


class Precision(Frozen):
    """How a file holds its weights: the embeddings (shared memory or tables) and the MLPs.

    All arithmetic is float32, but for the inner layers of `int8` MLPs. A model is trained with memories of `int8` and
    `int4`, or rounded to them by the export.
    """

    memory: MemoryPrecision = "fp32"
    mlps: MlpPrecision = "fp32"

    def __str__(self) -> str:
        return self.mlps if self.memory == self.mlps else f"{self.memory} embeddings, {self.mlps} MLPs"

    @property
    def golden_tolerance(self) -> float:
        """How far a golden row's score may lie from the one written down: int8 differs between processors."""
        return 5e-3 if self.mlps == "int8" else 1e-4


class PrecisionCost(Frozen):
    """What an artifact's precision changes on held-out rows: its own value less that of the model as it was trained.

    The logits' changes are absolute; `auc` is absent when the rows are all of one class. Of a model of several answers
    it is the first one's, and `others` are the others', by name.
    """

    rows: int
    auc: float | None = None
    log_loss: float
    logit_mean: float
    logit_largest: float
    others: dict[str, "PrecisionCost"] | None = None


GoldenValue = int | float | str | list[int | str] | None
GoldenFeatures = dict[str, list[GoldenValue]]


class GoldenRows(Frozen):
    """Rows and the scores that this model must give them.

    `features` is written as a request is (`POST /v1/score`): every feature a list with one value a row, None = missing,
    and a bag a list itself. `scores` are written as an answer is: a list, or of several answers one for each, by name.
    """

    features: GoldenFeatures
    scores: list[float] | dict[str, list[float]]

    @model_validator(mode="after")
    def _one_score_a_row(self) -> Self:
        if not self.rows:
            raise ValueError("golden rows are empty")
        for name, values in self.features.items():
            if len(values) != self.rows:
                raise ValueError(f"golden feature {name} has {len(values)} values for {self.rows} scores")
        if differing := [name for name, scores in self.by_output.items() if len(scores) != self.rows]:
            raise ValueError(
                f"golden rows have {len(self.by_output[differing[0]])} scores {differing[0]!r}, not {self.rows}"
            )
        return self

    @property
    def by_output(self) -> dict[str, list[float]]:
        """The scores by the name of the output."""
        return self.scores if isinstance(self.scores, dict) else {SCORE: self.scores}

    @property
    def rows(self) -> int:
        return max(map(len, self.by_output.values()), default=0)

    @property
    def table(self) -> Floats:
        """The scores [rows], of several answers [rows, heads], in float64."""
        return together([np.array(scores) for scores in self.by_output.values()])


class ExternalFile(Frozen):
    """Weights that lie in a file beside the model's own: how many bytes it has, and their XXH3 digest in hex."""

    bytes: Annotated[int, Field(ge=0)]
    xxh3_128: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]


class ModelSpec(Frozen):
    """Everything but the weights of a click-through model.

    It has numbers, `dense`, or `fields`, or both. `external_data` describes each file that holds weights by its name;
    None where the model's own holds all. Files that say nothing of a `dense_transform` have Criteo's. `heads` are the
    answers of a model that has several (`thimble.models.heads`), and left out of the JSON of one that has not.
    """

    schema_version: Literal[2] = SCHEMA_VERSION
    name: Annotated[str, Field(pattern=f"^{MODEL_NAME}$")]
    dense: list[Name]
    dense_transform: Transform = CriteoTransform()
    fields: list[Categorical]
    embedding_dim: Positive
    embedding: Embedding
    architecture: Architecture
    heads: Heads = Field(default=(), exclude_if=lambda heads: not heads)
    precision: Precision = Precision()
    provenance: Provenance | None = None
    imported: Imported | None = None
    metrics: Metrics | None = None
    precision_cost: PrecisionCost | None = None
    golden: GoldenRows | None = None
    external_data: dict[str, ExternalFile] | None = None

    @model_validator(mode="before")
    @classmethod
    def _known_schema(cls, data: Any) -> Any:
        """Of another schema any key may be unknown, so that is said first. What is computed is computed anew."""
        if not isinstance(data, dict):
            return data
        if (found := data.get("schema_version", SCHEMA_VERSION)) != SCHEMA_VERSION:
            raise ValueError(
                f"schema_version {found} is not the one this program reads ({SCHEMA_VERSION}); use a matching release"
            )
        return {name: value for name, value in data.items() if name not in cls.model_computed_fields}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = self.feature_names
        if not names:
            raise ValueError("dense and fields are both empty; a model has at least one feature")
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"feature names must be unique, these are not: {', '.join(twice)}")
        self.dense_transform.check(len(self.dense))
        check_heads(self.heads, [tensor.name for tensor in self.inputs])
        if self.architecture.outputs != len(self.outputs):
            raise ValueError(f"over_arch must end with {len(self.outputs)}, not {self.architecture.outputs}")
        self.architecture.check(len(self.dense), self.embedding_dim)
        if not self.fields and not isinstance(self.embedding, NoEmbedding):
            raise ValueError(f"scheme {self.embedding.scheme} is for models with fields, and this one has none")
        self.embedding.check(len(self.fields), self.embedding_dim)
        self.embedding.check_precision(self.precision.memory)
        if self.golden is not None and (differing := set(self.golden.features) ^ set(names)):
            raise ValueError(f"golden rows must have exactly the model's features; see {', '.join(sorted(differing))}")
        if self.golden is not None and (found := (*self.golden.by_output,)) != self.outputs:
            raise ValueError(f"golden rows must have scores of {', '.join(self.outputs)}, not of {', '.join(found)}")
        return self

    @property
    def features(self) -> list[Feature]:
        """All features, the numbers first. Rows of a text have their values in this order."""
        return [
            *(Feature(name, "number") for name in self.dense),
            *(Feature(f.name, f.kind, f.bag) for f in self.fields),
        ]

    @property
    def feature_names(self) -> list[str]:
        return [feature.name for feature in self.features]

    @property
    def bags(self) -> tuple[Bag | None, ...]:
        """Of each field, None where it is single-valued."""
        return tuple(field.bag for field in self.fields)

    @property
    def inputs(self) -> tuple[InputTensor, ...]:
        """The tensors of rows, in the order of `thimble.models.features.Batch`. One without features has no columns."""
        return input_tensors(self.features)

    @property
    def graph_inputs(self) -> tuple[InputTensor, ...]:
        """Those that have features: what the graph takes, and what is sent as tensors."""
        return tuple(tensor for tensor in self.inputs if tensor.features)

    @property
    def outputs(self) -> tuple[str, ...]:
        """What its answers are called, in their order: those of the heads, or `score`."""
        return outputs_of(self.heads)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def full_table_bytes(self) -> int:
        """What the embedding tables of an ordinary float32 DLRM of these fields weigh."""
        return sum(field.rows for field in self.fields) * self.embedding_dim * FLOAT_BYTES

    @computed_field  # type: ignore[prop-decorator]
    @property
    def embedding_bytes(self) -> int:
        """What this model's embedding weights weigh as they are stored, and the keys of hot rows."""
        keys = self.embedding.index_bytes if isinstance(self.embedding, BlockEmbedding) else 0
        return stored_bytes(self.embedding.weights(self.embedding_dim), self.precision.memory) + keys

    @property
    def compression(self) -> float:
        """How many times the embeddings are smaller than full tables; 1 where there is nothing to embed."""
        return self.full_table_bytes / self.embedding_bytes if self.embedding_bytes else 1.0


def answering(spec: ModelSpec, heads: Heads) -> ModelSpec:
    """The same model, untrained, of these answers. ValueError: they are no heads of one model."""
    architecture = spec.architecture.with_outputs(len(heads) or 1)
    return ModelSpec.model_validate(dict(spec) | {"heads": heads, "architecture": architecture})


def parse_spec(text: str | bytes) -> ModelSpec:
    """A spec from its JSON. SpecError names the first key that is wrong, unknown or missing."""
    try:
        return ModelSpec.model_validate_json(text)
    except ValidationError as error:
        raise SpecError(sentence(error)) from None
