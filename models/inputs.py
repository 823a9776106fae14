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
from math import nan
from typing import Literal, NamedTuple

from thimble.models.base import Frozen, Name, Positive

Kind = Literal["int", "hex", "string"]
ValueKind = Literal["number"] | Kind
DType = Literal["float32", "int64"]


class Categorical(Frozen):
    """One categorical feature.

    `kind` says how its values are written: `int` as integers, `hex` as hexadecimal tokens (Criteo's), `string` as any
    text, hashed with xxh3_64 >> 4. `rows` is the length of the table that an ordinary DLRM would keep for it.
    """

    name: Name
    kind: Kind
    rows: Positive


class Feature(NamedTuple):
    """A column of a tensor, and how its values are written on the wire and in click files."""

    name: str
    kind: ValueKind


@dataclass(frozen=True)
class InputTensor:
    """A tensor that a model takes, [rows, width] with a column a feature. `missing` stands for a missing value."""

    name: str
    dtype: DType
    features: tuple[Feature, ...]
    missing: float

    @cached_property
    def width(self) -> int:
        return len(self.features)

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
