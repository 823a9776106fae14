"""`quantiles`: numbers as how far they go through bins that hold equally many values of the training data.

This is the piecewise linear encoding of Gorishniy, Rubachev and Babenko (NeurIPS 2022). It takes any column as it is:
only the order of values counts, so neither scale nor sign nor a long tail matters, and a value beyond the edges counts
as the edge. Ours are the finer bins at both ends, the edges at frequent values, the centring and what becomes of a
missing number.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator

from thimble.models.base import Frozen
from thimble.models.hashing import Floats
from thimble.models.transforms.base import BaseTransform, NumberSample

# Half of the largest float32, so that no difference of two of them overflows.
_LARGEST = float(np.finfo(np.float32).max) / 2
# The smallest float32 by which can be divided everywhere: some processors take smaller ones for 0.
_SMALLEST = float(np.finfo(np.float32).tiny)
_PARTS = 16
# Shares of the values. Between the outer ones lie few values, and often most of the range.
_TAILS = (0.001, 0.01, 0.99, 0.999)

Finite = Annotated[float, Field(ge=-_LARGEST, le=_LARGEST)]
Share = Annotated[float, Field(ge=0, le=1)]


class QuantileColumn(Frozen):
    """What was learnt of a column.

    `edges` rise and lie around one bin fewer; a column has none if it was always missing. `means` are how full each
    bin is on average. `missing` is the share of rows without a value.
    """

    edges: list[Finite]
    means: list[Share]
    median: Finite
    missing: Share

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.means) != max(0, len(self.edges) - 1):
            raise ValueError(f"{len(self.means)} means for {len(self.edges)} edges")
        if (np.diff(np.array(self.edges, np.float32)) < _SMALLEST).any():
            raise ValueError("edges must rise")
        return self

    def __str__(self) -> str:
        if not self.edges:
            return "always missing"
        known = f"{self.edges[0]:g} to {self.edges[-1]:g}, median {self.median:g}, {len(self.means)} bins"
        if not self.means:
            known = f"always {self.median:g}"
        return f"{known}, {self.missing:.1%} missing"


class QuantileConstants(NamedTuple):
    """The numbers of all columns as float32: [columns, bins], and [columns] for the last three.

    All columns have as many bins as the one with most; `low` of those that are added is so high that they stay empty.
    `if_missing` and `if_known` are what says whether a number is missing.
    """

    low: Floats
    width: Floats
    mean: Floats
    median: Floats
    if_missing: Floats
    if_known: Floats


class QuantileTransform(BaseTransform):
    """A number becomes one input a bin: 0 below it, 1 above it, linear within, less the mean.

    One input more says whether it is missing, and then the others are those of the median. It is less its mean too, so
    a column that was never missing in training has 0 there: a missing number then scores as the median does.
    """

    kind: Literal["quantiles"] = "quantiles"
    columns: list[QuantileColumn]

    @classmethod
    def learn(cls, columns: Sequence[NumberSample]) -> Self:
        """From samples of the training data."""
        return cls(columns=[_column(sample) for sample in columns])

    def check(self, columns: int) -> None:
        if len(self.columns) != columns:
            raise ValueError(f"dense_transform is for {len(self.columns)} columns, not {columns}")

    @property
    def bins(self) -> int:
        """Inputs that each column has, without the one for missing."""
        return max([1, *(len(column.means) for column in self.columns)])

    def width(self, columns: int) -> int:
        return columns * (self.bins + 1)

    def constants(self) -> QuantileConstants:
        """What the graph computes with."""
        shape = len(self.columns), self.bins
        low, width, mean = np.full(shape, np.finfo(np.float32).max), np.ones(shape), np.zeros(shape)
        for row, column in enumerate(self.columns):
            edges = np.array(column.edges, np.float32)
            low[row, : len(column.means)] = edges[:-1]
            width[row, : len(column.means)] = np.diff(edges)
            mean[row, : len(column.means)] = column.means
        median = np.array([column.median for column in self.columns])
        missing = np.array([column.missing for column in self.columns])
        varies = (missing > 0) & (missing < 1)
        known = low, width, mean, median, (1 - missing) * varies, -missing * varies
        return QuantileConstants(*(array.astype(np.float32) for array in known))

    def apply(self, dense: Floats) -> Floats:
        it = self.constants()
        missing = np.isnan(dense)
        known = np.where(missing, it.median, dense)[..., None]
        with np.errstate(over="ignore"):  # of what is far beyond the edges
            bins = np.clip((known - it.low) / it.width, 0, 1) - it.mean  # [rows, columns, bins]
        flags = np.where(missing, it.if_missing, it.if_known)
        together: Floats = np.concatenate([bins.reshape(len(dense), -1), flags], axis=1)
        return together

    def figures(self, names: Sequence[str]) -> list[str]:
        return [f"{name}: {column}" for name, column in zip(names, self.columns, strict=True)]

    def __str__(self) -> str:
        return f"{self.kind}: {self.bins} bins a column, and whether it is missing"


def _column(sample: NumberSample) -> QuantileColumn:
    values = np.clip(sample.values, -_LARGEST, _LARGEST)
    if not len(values):
        return QuantileColumn(edges=[], means=[], median=0, missing=1)
    edges = _edges(values)
    filled = [np.interp(values, pair, (0, 1)).mean() for pair in pairwise(edges)]
    return QuantileColumn(
        edges=[_shortest(edge) for edge in edges],
        means=[round(float(mean), 6) for mean in filled],
        median=_shortest(np.quantile(values, 0.5, method="nearest")),
        missing=sample.missing,
    )


def _edges(values: Floats) -> Floats:
    """Quantiles, rising. Values that would fill a bin alone are edges, and the others share the bins that are left."""
    distinct, counts = np.unique(values, return_counts=True)
    frequent = counts * _PARTS >= len(values)
    edges = distinct[frequent]
    if not frequent.all():
        rest = np.repeat(distinct[~frequent], counts[~frequent])
        shares = np.union1d(np.linspace(0, 1, max(2, _PARTS + 1 - len(edges))), _TAILS)
        edges = np.union1d(edges, np.quantile(rest, shares, method="nearest"))
    apart: Floats = edges[np.diff(edges, prepend=-np.inf) >= _SMALLEST]
    return apart


def _shortest(value: np.float32) -> float:
    """The number with the fewest digits that is this one in float32."""
    return float(str(np.float32(value)))
