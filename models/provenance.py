"""Where the weights of a model come from."""

import re
from typing import Annotated

from pydantic import Field

from thimble.models.base import Frozen, Positive, PositiveShare

# how the clicks that `export.clicks.generate` makes are called in `Provenance.source`
GENERATED_CLICKS = "generated clicks"


class Teacher(Frozen):
    """A model whose scores were mixed into the targets that another one was trained on.

    `weight` is their share of a target; the label has the rest. The other one's `mlps` began as its own, and so did
    the `embeddings`, as far as the other one has room for them. `digest` is the XXH3 digest of the teacher's file in
    hex. It has seen `rows_trained` rows of `source`, what it went on from included; None where its file does not say.
    """

    name: str
    digest: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    weight: PositiveShare
    mlps: bool = False
    embeddings: bool = False
    source: str | None = None
    rows_trained: int | None = None


class Ancestor(Frozen):
    """A finished run whose weights another one began with."""

    source: str
    rows_trained: int
    negatives_kept: PositiveShare = 1.0
    teacher: Teacher | None = None


class PlattScaling(Frozen):
    """What a trained model's logits were multiplied by, and then raised by, to fit so many validation rows.

    It is in the weights of the last layer.
    """

    slope: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    intercept: Annotated[float, Field(allow_inf_nan=False)]
    rows: Positive


class Provenance(Frozen):
    """Where the weights come from.

    They have seen the rows so many `epochs` long. `negatives_kept` is the share of the negatives that the log held.
    `ancestors` were trained before, one upon the other, the first one first.
    """

    source: str
    rows_trained: int
    epochs: int
    batch_size: int
    seed: int
    tool: str
    negatives_kept: PositiveShare = 1.0
    platt: PlattScaling | None = None
    teacher: Teacher | None = None
    ancestors: tuple[Ancestor, ...] = ()

    @property
    def generated(self) -> bool:
        """Whether the clicks were made by us, so that no row of them is a real one."""
        return re.fullmatch(rf"{GENERATED_CLICKS}, seed \d+", self.source) is not None


class Imported(Frozen):
    """The checkpoint that the weights were taken from as they are.

    `expected_rows` came with scores from where it was trained, all of which the import met.
    """

    format: str
    checkpoint: str
    tool: str
    expected_rows: Annotated[int, Field(ge=0)] = 0
