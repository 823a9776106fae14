"""What is done with numbers before an architecture takes them, a file each.

A new transformation is a subclass of `BaseTransform` in a file of its own, named in `_Transform` below, and a torch
module in `thimble.models.nn.transforms`; where models are trained with it, in `TransformKind` and `learnt` too. It is a
part of the graph, so a server knows none of them.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from thimble.models.transforms.base import NumberSample
from thimble.models.transforms.criteo import CriteoTransform
from thimble.models.transforms.quantiles import QuantileTransform
from thimble.models.transforms.raw import RawTransform
from thimble.models.transforms.scaled import ScaledTransform

_Transform = CriteoTransform | QuantileTransform | RawTransform | ScaledTransform
Transform = Annotated[_Transform, Field(discriminator="kind")]

TransformKind = Literal["criteo", "quantiles"]


def learnt(kind: TransformKind, columns: Sequence[NumberSample]) -> Transform:
    """The transformation of a kind for columns of which samples of the training data are known."""
    return CriteoTransform() if kind == "criteo" else QuantileTransform.learn(columns)
