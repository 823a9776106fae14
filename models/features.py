"""Raw feature values to the arrays a model takes. Trainer and server share this, so both read a value alike.

Values come as text (tab- or comma-separated, blank = missing) or typed (JSON, Parquet; None or blank = missing).
A missing number becomes NaN, a missing id 0, and a bag its ids, filled up with 0. What each kind accepts is in
`thimble.models.conversions`, and how bags are written in `thimble.models.bag_values`.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from thimble.models.bag_values import BagColumn, digits_as_integers
from thimble.models.bags import Bag
from thimble.models.conversions import FROM_TEXT, FROM_VALUES, IDS, BadValueError, Column, Reading
from thimble.models.faults import Faults
from thimble.models.hashing import Floats, Int64s
from thimble.models.inputs import Feature, InputTensor, Kind, ValueKind
from thimble.models.spec import ModelSpec

Cuts = Counter[str]
"""By feature, how many values its bags had no room for."""

_FEW = 64  # values that are looked at one by one sooner than in two halves


class Batch(NamedTuple):
    """Rows as a model takes them: the tensors [rows, width] that `ModelSpec.inputs` describes, in its order.

    Of a model without numbers, or without fields, that tensor is [rows, 0].
    """

    dense: Floats
    ids: Int64s

    @property
    def rows(self) -> int:
        return len(self[0])

    def part(self, start: int, stop: int) -> "Batch":
        """Rows start..stop. Nothing is copied."""
        return Batch._make([tensor[start:stop] for tensor in self])

    def copied(self) -> "Batch":
        """With memory of its own."""
        return Batch._make([tensor.copy() for tensor in self])

    def fed(self) -> dict[str, npt.NDArray[Any]]:
        """What a session of the model's graph is given: the tensors that have columns, by name."""
        return {name: tensor for name, tensor in self._asdict().items() if tensor.shape[1]}

    @staticmethod
    def joined(parts: "Sequence[Batch]") -> "Batch":
        """One after the other."""
        return Batch._make(np.concatenate(tensors) for tensors in zip(*parts, strict=True))

    @staticmethod
    def missing(inputs: Sequence[InputTensor], rows: int) -> "Batch":
        """Rows in which all values are missing, to be filled in."""
        return Batch._make(np.full((rows, tensor.width), tensor.missing, tensor.dtype) for tensor in inputs)


class FeatureError(ValueError):
    """A value that its feature does not take. `row` counts from 0."""

    def __init__(self, feature: str, row: int, reason: str) -> None:
        super().__init__(f"{feature}: {reason}")
        self.feature = feature
        self.row = row
        self.reason = reason


def dense_from_text(feature: str, tokens: Column) -> Floats:
    """Decimal text -> float32 [rows]."""
    return _all_good(feature, tokens, FROM_TEXT["number"])


def dense_from_values(feature: str, values: Column) -> Floats:
    """Numbers -> float32 [rows]."""
    return _all_good(feature, values, FROM_VALUES["number"])


def ids_from_text(feature: str, kind: Kind, tokens: Column) -> Int64s:
    """Text of the kind -> int64 [rows]."""
    return _all_good(feature, tokens, FROM_TEXT[kind])


def ids_from_values(feature: str, kind: Kind, values: Column) -> Int64s:
    """Integers for `int`, text for `hex` and `string` -> int64 [rows]."""
    return _all_good(feature, values, FROM_VALUES[kind])


def ids_from_ids(feature: str, values: Column) -> Int64s:
    """Integers that are ids already, 0 <= id < 2^60 -> int64 [rows]."""
    return _all_good(feature, values, IDS)


def column_from_text(feature: Feature, tokens: Column, cuts: Cuts | None = None) -> npt.NDArray[Any]:
    """Text -> the feature's column of its tensor, [rows], or those of its bag, [rows, values].

    FeatureError names the bad value. What bags have no room for is counted in `cuts`.
    """
    return _column(feature, tokens, FROM_TEXT[feature.kind], cuts)


def column_from_values(feature: Feature, values: Column, cuts: Cuts | None = None) -> npt.NDArray[Any]:
    """Typed values -> the feature's column of its tensor, [rows], or those of its bag, [rows, values].

    FeatureError names the bad value. What bags have no room for is counted in `cuts`.
    """
    return _column(feature, values, FROM_VALUES[feature.kind], cuts)


def good_values(kind: ValueKind) -> Callable[[Column], npt.NDArray[Any]]:
    """What turns plain typed values into an array, all at once. It raises BadValueError."""
    return FROM_VALUES[kind].convert


def encode_column(kind: ValueKind, values: Column, *, typed: bool) -> tuple[npt.NDArray[Any], Faults]:
    """A single-valued feature's column of its tensor, [rows], and what is wrong with its bad rows.

    These come out as missing, and the good ones as they would without the bad ones.
    """
    return _encode(values, (FROM_VALUES if typed else FROM_TEXT)[kind])


def encode_bags(kind: Kind, bag: Bag, values: Column, *, typed: bool) -> tuple[npt.NDArray[Any], Faults, int]:
    """A bag's columns of its tensor, [rows, bag.values], what is wrong with its bad rows, and how many values were cut.

    Bad values come out as missing, all others as they would without the bad ones.
    """
    bags = BagColumn(bag, values)
    ids, faults = _encode(bags.values, (FROM_VALUES if typed else FROM_TEXT)[kind])
    rows, first = np.unique(bags.rows_of(faults.rows), return_index=True)  # of a row that has several the first is said
    value_of = dict(zip(rows.tolist(), faults.rows[first].tolist(), strict=True))
    return bags.filled(ids), Faults(rows, lambda row: faults[value_of[row]]), bags.cut


def batch_from_text(spec: ModelSpec, columns: Sequence[Column], cuts: Cuts | None = None) -> Batch:
    """Text columns in the order of the spec's features. FeatureError names the bad value."""
    return _batch(spec, columns, partial(column_from_text, cuts=cuts))


def batch_from_values(spec: ModelSpec, columns: Sequence[Column], cuts: Cuts | None = None) -> Batch:
    """Typed columns in the order of the spec's features. FeatureError names the bad value."""
    return _batch(spec, columns, partial(column_from_values, cuts=cuts))


def _batch(spec: ModelSpec, columns: Sequence[Column], encode: Callable[[Feature, Column], npt.NDArray[Any]]) -> Batch:
    given = dict(zip(spec.feature_names, columns, strict=True))
    batch = Batch.missing(spec.inputs, len(columns[0]))
    tensors: Sequence[npt.NDArray[Any]] = batch
    for tensor, array in zip(spec.inputs, tensors, strict=True):
        for place, feature in zip(tensor.places, tensor.features, strict=True):
            array[:, place] = encode(feature, given[feature.name])
    return batch


def _column(feature: Feature, values: Column, reading: Reading, cuts: Cuts | None) -> npt.NDArray[Any]:
    if feature.bag is None:
        return _all_good(feature.name, values, reading)
    bags = BagColumn(feature.bag, values)
    if cuts is not None and bags.cut:
        cuts[feature.name] += bags.cut
    found = digits_as_integers(bags.values) if reading is FROM_VALUES["int"] else bags.values
    try:
        return bags.filled(_all_good(feature.name, found, reading))
    except FeatureError as error:
        raise FeatureError(feature.name, int(bags.rows_of(np.array([error.row]))[0]), error.reason) from None


def _all_good(feature: str, values: Column, reading: Reading) -> npt.NDArray[Any]:
    try:
        return reading.convert(values)
    except BadValueError:  # or there are values among them that are not plain
        values = [*map(reading.plain, values)]
    try:
        return reading.convert(values)
    except BadValueError:
        row, reason = _first_bad(values, reading)
    raise FeatureError(feature, row, reason)


def _first_bad(values: Column, reading: Reading) -> tuple[int, str]:
    """The row of the first bad one of plain values, where there is one, and what is wrong with it."""
    start, stop = 0, len(values)
    while stop - start > _FEW:  # of many at once it is said sooner than of each
        middle = (start + stop) // 2
        try:
            reading.convert(values[start:middle])
        except BadValueError:
            stop = middle
        else:
            start = middle
    row = next(row for row in range(start, stop) if not reading.is_good(values[row]))
    return row, _reason(values[row], reading)


def _encode(values: Column, reading: Reading) -> tuple[npt.NDArray[Any], Faults]:
    try:
        return reading.convert(values), Faults.none()
    except BadValueError:
        plain = [*map(reading.plain, values)]
    bad = [row for row, value in enumerate(plain) if not reading.is_good(value)]
    if not bad:
        return reading.convert(plain), Faults.none()
    good = plain.copy()
    for row in bad:
        good[row] = reading.missing
    return reading.convert(good), Faults(np.array(bad), lambda row: _reason(plain[row], reading))


def _reason(value: Any, reading: Reading) -> str:
    """What is wrong with a bad value."""
    try:
        reading.convert([value])
    except BadValueError as error:
        return str(error)
    raise AssertionError(f"{value!r} is good alone")
