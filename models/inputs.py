"""What goes into a model: its features, and the tensors that their values become.

`ModelSpec.inputs` is the one description of these tensors. The exporter, the check of a file, the codecs, the buffers,
the shadow's messages and the descriptions of the API all read it, so a third tensor is one entry more in
`input_tensors`, a field of `thimble.models.features.Batch`, and the code that makes or uses its values.
docs/architecture.md has the list.

A tensor without features, as that of the numbers of a model of ids alone, has no columns: a batch has it, so that code
need not ask, and neither the graph nor anybody who sends rows knows of it (`ModelSpec.graph_inputs`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from math import nan
from typing import Literal, NamedTuple

from pydantic import Field

from thimble.models.bags import Bag
from thimble.models.base import Frozen, Name, Positive

Kind = Literal["int", "hex", "string"]
ValueKind = Literal["number"] | Kind
DType = Literal["float32", "int64"]


class Categorical(Frozen):
    """One categorical feature.

    `kind` says how its values are written: `int` as integers, `hex` as hexadecimal tokens (Criteo's), `string` as any
    text, hashed with xxh3_64 >> 4. `rows` is the length of the table that an ordinary DLRM would keep for it. With a
    `bag` a row has several values of it, and without one.
    """

    name: Name
    kind: Kind
    rows: Positive
    bag: Bag | None = Field(default=None, exclude_if=lambda bag: bag is None)


class Feature(NamedTuple):
    """What has a column of a tensor, or several with a bag, and how it is written on the wire and in click files."""

    name: str
    kind: ValueKind
    bag: Bag | None = None

    @property
    def width(self) -> int:
        """The columns that it has."""
        return self.bag.values if self.bag else 1


@dataclass(frozen=True)
class InputTensor:
    """A tensor that a model takes, [rows, width]. `missing` stands for a missing value.

    A feature has a column, one with a bag as many as the bag has values.
    """

    name: str
    dtype: DType
    features: tuple[Feature, ...]
    missing: float

    @cached_property
    def width(self) -> int:
        return sum(feature.width for feature in self.features)

    @cached_property
    def places(self) -> tuple[int | slice, ...]:
        """Where each feature's values are: its column, or the columns of its bag."""
        starts = accumulate((feature.width for feature in self.features), initial=0)
        return tuple(
            slice(start, start + feature.width) if feature.bag else start
            for feature, start in zip(self.features, starts, strict=False)
        )

    def columns_of(self, feature: Feature) -> range:
        """The columns that a feature has."""
        start = sum(before.width for before in self.features[: self.features.index(feature)])
        return range(start, start + feature.width)

    @cached_property
    def columns(self) -> tuple[Feature, ...]:
        """The feature of each column."""
        return tuple(feature for feature in self.features for _ in range(feature.width))

    @cached_property
    def row_bytes(self) -> int:
        """What a row of it weighs."""
        return self.width * (4 if self.dtype == "float32" else 8)

    @cached_property
    def kinds(self) -> list[ValueKind]:
        """The kinds that its features have, each once."""
        return sorted({feature.kind for feature in self.features})


def input_tensors(features: Sequence[Feature]) -> tuple[InputTensor, ...]:
    """The tensors that features become: numbers are `dense`, all others `ids`, each in the order given."""
    numbers = tuple(feature for feature in features if feature.kind == "number")
    fields = tuple(feature for feature in features if feature.kind != "number")
    return (InputTensor("dense", "float32", numbers, missing=nan), InputTensor("ids", "int64", fields, missing=0))
