"""What a checkpoint does not hold: names and kinds of its features, and what was done with their values before."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, Discriminator, Field, Tag, ValidationError, model_validator

from thimble.export.importing.mapping import read_yaml
from thimble.export.importing.weights import CheckpointError
from thimble.models.base import Frozen, Name, sentence
from thimble.models.hashing import ID_LIMIT
from thimble.models.inputs import Kind
from thimble.models.transforms import Transform
from thimble.models.transforms.criteo import CriteoTransform
from thimble.models.transforms.scaled import Finite, Positive, ScaledColumn, ScaledTransform

Row = Annotated[int, Field(ge=0, lt=ID_LIMIT)]


class Vocabulary(Frozen):
    """The row of each value, in a file (`thimble.export.importing.vocabulary`).

    `missing` is the row of a missing value, which else is one that is not in the file. `unknown` is the row of these;
    where nothing is said, their embedding is zeros.
    """

    vocabulary: str
    missing: Row | None = None
    unknown: Row | None = None


def _form(given: object) -> str:
    """Which of several forms somebody meant, so that what is wrong is said of that one."""
    if isinstance(given, list | tuple):
        return "formulas"
    return "keys" if isinstance(given, dict | BaseModel) else "word"


Ids = Annotated[
    Annotated[Literal["rows", "mod"], Tag("word")] | Annotated[Vocabulary, Tag("keys")], Discriminator(_form)
]


class ImportedField(Frozen):
    """A categorical feature. `ids` says how its values become rows of its table.

    `rows`: a value is the number of its row. `mod`: it is that modulo the table's length. `table_rows` is that length,
    where the file does not say it.
    """

    name: Name
    kind: Kind | None = None
    ids: Ids | None = None
    table_rows: Annotated[int, Field(gt=0, le=ID_LIMIT)] | None = None


class Standardised(Frozen):
    """(x - mean) / standard deviation, one of each a number."""

    means: tuple[Finite, ...]
    deviations: tuple[Positive, ...]


Numbers = Annotated[
    Annotated[Literal["none", "log", "log2"], Tag("word")]
    | Annotated[Standardised, Tag("keys")]
    | Annotated[tuple[ScaledColumn, ...], Tag("formulas")],
    Discriminator(_form),
]


def _field(given: object) -> object:
    return {"name": given} if isinstance(given, str) else given


class ImportedFeatures(Frozen):
    """A file of features: numbers and categorical ones, in the order in which the model takes them.

    `kind` and `ids` are those of all fields that say nothing else. `numbers` says what was done with the numbers
    before they came to the model: `none`, `log` for ln(max(x, 0) + 1), `log2` for log2(max(x, 0) + 1), means and
    deviations, or a formula a column.
    """

    dense: tuple[Name, ...] = ()
    numbers: Numbers | None = None
    fields: tuple[Annotated[ImportedField, BeforeValidator(_field)], ...] = ()
    kind: Kind = "int"
    ids: Literal["rows", "mod"] | None = None

    @model_validator(mode="after")
    def _one_for_each_number(self) -> Self:
        match self.numbers:
            case Standardised(means=means, deviations=deviations):
                given = {"means": len(means), "deviations": len(deviations)}
            case tuple(columns):
                given = {"formulas": len(columns)}
            case _:
                given = {}
        for what, count in given.items():
            if count != len(self.dense):
                raise ValueError(f"numbers has {count} {what}, and dense names {len(self.dense)}")
        return self

    def transform(self) -> Transform:
        """Of the numbers."""
        match self.numbers:
            case Standardised(means=means, deviations=deviations):
                return ScaledTransform.standardised(means, deviations)
            case tuple(columns):
                return ScaledTransform(columns=list(columns))
            case "none":
                return ScaledTransform.none(len(self.dense))
            case "log2":
                return ScaledTransform.log2(len(self.dense))
            case _:
                return CriteoTransform()

    def ids_of(self, field: ImportedField) -> Literal["rows", "mod"] | Vocabulary | None:
        """How a field's values become rows; None where nothing says it."""
        return field.ids or self.ids


def read_features(path: Path) -> ImportedFeatures:
    """CheckpointError: it describes no features, in one sentence. OSError: it cannot be read."""
    try:
        return ImportedFeatures.model_validate(read_yaml(path))
    except ValidationError as error:
        raise CheckpointError(f"{path}: {sentence(error, 'the file')}") from None
