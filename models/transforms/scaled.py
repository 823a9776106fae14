"""`scaled`: the preprocessing of models that were trained elsewhere, a logarithm, a linear map, or both.

By its constants it is ln(max(x, 0) + 1) as of Facebook's DLRM, ln(x + 3) as of TorchRec's scripts for Criteo, log2,
standardisation, min-max scaling, or nothing at all.
"""

from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator

from thimble.models.base import Frozen
from thimble.models.hashing import Floats
from thimble.models.transforms.base import BaseTransform

LARGEST = 1e16
"""What comes out is cut here, on both sides: the MLPs behind it would make infinity or NaN of the largest float32."""

# How far from the centre numbers usually lie at most, in scales.
_USUAL = 10
# So small that the largest float32 plus a number is no infinity, and so large that no scale is 0 in float32.
_BOUND = 1e30


def _finite(number: float) -> float:
    if not abs(number) <= _BOUND:
        raise ValueError(f"must lie between -{_BOUND:g} and {_BOUND:g}, not {number:g}")
    return number


def _positive(number: float) -> float:
    if not 1 / _BOUND <= number <= _BOUND:
        raise ValueError(f"must lie between {1 / _BOUND:g} and {_BOUND:g}, not {number:g}")
    return number


Finite = Annotated[float, AfterValidator(_finite)]
Positive = Annotated[float, AfterValidator(_positive)]


class Logarithm(Frozen):
    """ln(max(x + shift, least))."""

    shift: Finite
    least: Positive

    def __str__(self) -> str:
        return f"ln(max({_plus('x', self.shift)}, {self.least:g}))"


LOG1P = Logarithm(shift=1, least=1)
"""ln(max(x, 0) + 1)."""


class ScaledColumn(Frozen):
    """(v - centre) / scale, where v is the number itself or its logarithm.

    `missing` is the number that a missing one counts as, before all else. Standardised, `centre` is the mean and
    `scale` the standard deviation; min-max scaled, they are the smallest value and the range.
    """

    missing: Finite = 0
    log: Logarithm | None = None
    centre: Finite = 0
    scale: Positive = 1

    def __str__(self) -> str:
        centred = _plus(str(self.log or "x"), -self.centre)
        if self.scale != 1:
            centred = f"({centred}) / {self.scale:g}" if self.centre else f"{centred} / {self.scale:g}"
        return f"{centred}, a missing number as {self.missing:g}"


class ScaledConstants(NamedTuple):
    """The numbers of all columns, [columns] each: float32, but for `log`, which says what columns have a logarithm."""

    missing: Floats
    log: npt.NDArray[np.bool_]
    shift: Floats
    least: Floats
    centre: Floats
    scale: Floats


class ScaledTransform(BaseTransform):
    """A column stays one column, with constants of its own. Nothing is learnt."""

    kind: Literal["scaled"] = "scaled"
    columns: list[ScaledColumn]

    @classmethod
    def none(cls, columns: int) -> Self:
        """Numbers as they are."""
        return cls(columns=[ScaledColumn()] * columns)

    @classmethod
    def log(cls, columns: int) -> Self:
        """ln(max(x, 0) + 1)."""
        return cls(columns=[ScaledColumn(log=LOG1P)] * columns)

    @classmethod
    def log2(cls, columns: int) -> Self:
        """log2(max(x, 0) + 1)."""
        return cls(columns=[ScaledColumn(log=LOG1P, scale=float(np.log(2)))] * columns)

    @classmethod
    def standardised(cls, means: Sequence[float], deviations: Sequence[float]) -> Self:
        """(x - mean) / standard deviation. ValueError: a value that cannot be, or not as many of both."""
        if len(means) != len(deviations):
            raise ValueError(f"{len(means)} means for {len(deviations)} standard deviations")
        pairs = zip(means, deviations, strict=True)
        return cls(columns=[ScaledColumn(centre=mean, scale=deviation) for mean, deviation in pairs])

    def check(self, columns: int) -> None:
        if len(self.columns) != columns:
            raise ValueError(f"dense_transform is for {len(self.columns)} columns, not {columns}")

    def width(self, columns: int) -> int:
        return columns

    def constants(self) -> ScaledConstants:
        """What the graph computes with. Columns without a logarithm have one of x or 1, which nobody reads."""
        logs = [column.log or Logarithm(shift=0, least=1) for column in self.columns]
        return ScaledConstants(
            missing=np.array([column.missing for column in self.columns], np.float32),
            log=np.array([column.log is not None for column in self.columns], np.bool_),
            shift=np.array([log.shift for log in logs], np.float32),
            least=np.array([log.least for log in logs], np.float32),
            centre=np.array([column.centre for column in self.columns], np.float32),
            scale=np.array([column.scale for column in self.columns], np.float32),
        )

    def apply(self, dense: Floats) -> Floats:
        it = self.constants()
        known = np.where(np.isnan(dense), it.missing, dense)
        known = np.where(it.log, np.log(np.maximum(known + it.shift, it.least)), known)
        with np.errstate(over="ignore"):  # of what is cut
            scaled: Floats = np.clip((known - it.centre) / it.scale, -LARGEST, LARGEST)
        return scaled

    def suited(self, dense: Floats) -> Floats:
        it = self.constants()
        sizes = np.clip(dense, -_USUAL, _USUAL)
        suited: Floats = np.where(it.log, dense, sizes * it.scale + it.centre)
        return suited

    def figures(self, names: Sequence[str]) -> list[str]:
        if self._alike:
            return []
        return [f"{name}: {column}" for name, column in zip(names, self.columns, strict=True)]

    def __str__(self) -> str:
        return f"{self.kind}: {self.columns[0] if self._alike else 'each column by a formula of its own'}"

    @property
    def _alike(self) -> bool:
        return len(set(self.columns)) == 1


def _plus(text: str, number: float) -> str:
    return f"{text} {'-' if number < 0 else '+'} {abs(number):g}" if number else text
