"""Request bodies to rows, scores to answers."""

import struct
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import repeat
from math import nan
from types import EllipsisType
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from thimble.models.bag_values import digits_as_integers, values_of
from thimble.models.conversions import BadValueError, shown
from thimble.models.features import Batch, Cuts, FeatureError, batch_from_text, column_from_values, good_values
from thimble.models.hashing import Floats, Int64s
from thimble.models.inputs import Feature, InputTensor, ValueKind
from thimble.models.labels import clicked
from thimble.models.spec import ModelSpec
from thimble.service.errors import RequestError
from thimble.service.wire.bags import BagLimits, misplaced, shared
from thimble.service.wire.json_text import parsed
from thimble.service.wire.outputs import Outputs, Picked
from thimble.service.wire.scan import JsonBounds

JSON, TSV = "application/json", "text/tab-separated-values"
Array = npt.NDArray[Any]
_NUMBER = frozenset((int, float, type(None)))
_FLOAT32 = np.dtype("<f4")
_KEYS = frozenset(("features", "outputs"))


class RowReader:
    """Reads the rows of a model from bodies of either type."""

    def __init__(self, spec: ModelSpec, max_rows: int, tell: Callable[[Cuts], None] | None = None) -> None:
        """`tell` is told what was cut from the bags of a request, where something was."""
        self._spec = spec
        self._max_rows = max_rows
        self._tell = tell
        self._bounds = JsonBounds(spec, max_rows)
        self.bags = BagLimits(spec, max_rows)
        self._known = {feature.name: feature for feature in spec.features}
        self._width = len(spec.feature_names)
        # of a single feature an empty line is a row, in which it is missing
        self._blank = {JSON: None, TSV: b"\r\n" if self._width > 1 else b""}
        self._inputs = spec.inputs
        self.outputs = Outputs(spec)
        self._single = _SingleRow(spec.inputs)
        self._columns = [_columns(tensor, self.bags) for tensor in spec.inputs]

    def read(self, content_type: str, body: bytes) -> Batch:
        """Rows from a body of either type. RequestError: 400, 413 or 415."""
        return self.asked(content_type, body)[0]

    def asked(self, content_type: str, body: bytes) -> tuple[Batch, Picked]:
        """Rows, and which outputs are wanted of them, from a body of either type. RequestError: 400, 413 or 415."""
        if content_type not in (JSON, TSV):
            raise RequestError(415, f"Content-Type {shown(content_type)} is not supported; send {JSON} or {TSV}")
        if not body.removeprefix(BOM_UTF8).strip(self._blank[content_type]):
            raise RequestError(400, "the body is empty")
        return self._json(body) if content_type == JSON else (self.tsv(body), None)

    def json(self, body: bytes) -> Batch:
        """{"features": {name: value or list}}: a scalar is shared by all rows, a list has one value a row.

        A bag is a text or a list, or {"bag": list} for all rows.
        """
        return self._json(body)[0]

    def _json(self, body: bytes) -> tuple[Batch, Picked]:
        self.check_json(body)
        features, outputs = _features(body)
        picked = self.outputs.picked(outputs)
        if not self._known.keys() >= features.keys():
            raise RequestError(400, f"unknown feature {shown(min(features.keys() - self._known.keys()))}")
        if (row := self._single.read(features)) is not None:
            return row, picked
        rows = _row_count(features)
        if rows is not None:
            self.check_rows(rows)
        batch = Batch.missing(self._inputs, rows or 1)
        tensors: Sequence[Array] = batch
        cuts: Cuts = Counter()
        try:
            for out, of_tensor in zip(tensors, self._columns, strict=True):
                for columns in of_tensor:
                    columns.read(features, out, cuts, rows is not None)
        except FeatureError as error:
            raise self._refused(error, features[error.feature]) from None
        self.tell(cuts)
        return batch, picked

    def tsv(self, body: bytes) -> Batch:
        """Lines of the features in the order of the spec, tab-separated, with or without a label before them."""
        body = body.removeprefix(BOM_UTF8)
        self.check_rows(body.count(b"\n") + (not body.endswith(b"\n")))
        try:
            lines = body.decode().removesuffix("\n").split("\n")
        except UnicodeDecodeError as error:
            number = body.count(b"\n", 0, error.start) + 1
            raise RequestError(400, f"line {number}: not valid UTF-8") from None
        width, first = self._width, _column_count(lines[0])
        if first not in (width, width + 1):
            raise RequestError(400, f"line 1: {first} columns, expected {width}, or {width + 1} with a label")
        for number, line in enumerate(lines, 1):
            if (count := _column_count(line)) != first:
                raise RequestError(400, f"line {number}: {count} columns, expected {first} as in line 1")
        table = [line.removesuffix("\r").split("\t") for line in lines]
        if first > width:
            for number, row in enumerate(table, 1):
                if row[0] and clicked(row[0]) is None:
                    raise RequestError(400, f"line {number}: label {shown(row[0])} is not 0, 1 or blank")
        columns = list(zip(*table, strict=True))[first - width :]
        for place, feature in self.bags.features:
            self.bags.check(feature, columns[place])
        cuts: Cuts = Counter()
        try:
            batch = batch_from_text(self._spec, columns, cuts)
        except FeatureError as error:
            raise RequestError(400, f"line {error.row + 1}: {error}") from None
        self.tell(cuts)
        return batch

    def check_rows(self, rows: int) -> None:
        """RequestError 413: too many in one request."""
        if rows > self._max_rows:
            raise RequestError(413, f"{rows} rows are more than the limit of {self._max_rows} in one request")

    def check_json(self, text: bytes) -> None:
        """RequestError 413: it is too much for one request, seen without parsing it."""
        self._bounds.check(text)

    def tell(self, cuts: Cuts) -> None:
        """That the rows of a request were read, and what was cut from their bags."""
        if cuts and self._tell is not None:
            self._tell(cuts)

    def _refused(self, error: FeatureError, value: Any) -> RequestError:
        """What is wrong with JSON's value of a feature."""
        reason = misplaced(self._known[error.feature], value, error.row) or error.reason
        place = f" (index {error.row})" if isinstance(value, list) else ""
        return RequestError(400, f"{error.feature}: {reason}{place}")


def answer(model: str, version: int, scores: Floats | dict[str, Floats]) -> bytes:
    """The JSON of an answer, of one list of scores or of several by name; they keep float32's precision."""
    return orjson.dumps({"model": model, "version": version, "scores": scores}, option=orjson.OPT_SERIALIZE_NUMPY)


class _SingleRow:
    """Reads one row of good values, which is what comes most often, faster than any number of them.

    None where a value is a list, or not good, or a tensor's features are of several kinds, or a bag has no room for its
    values: `_Columns` and `_BagColumns` read those.
    """

    def __init__(self, inputs: Sequence[InputTensor]) -> None:
        readers = [_row_reader(tensor) for tensor in inputs]
        self._readers = [reader for reader in readers if reader is not None]
        self._possible = len(self._readers) == len(inputs)

    def read(self, features: dict[str, Any]) -> Batch | None:
        if not self._possible:
            return None
        try:
            return Batch(*[read(features) for read in self._readers])
        except (OverflowError, struct.error, BadValueError, FeatureError):
            return None


def _row_reader(tensor: InputTensor) -> Callable[[dict[str, Any]], Array] | None:
    """Reads a tensor of one row, [1, width], or raises one of the errors above."""
    if not tensor.features:
        none = np.empty((1, 0), tensor.dtype)
        return lambda features: none
    if len(tensor.kinds) > 1:
        return None
    names, (kind,) = [feature.name for feature in tensor.features], tensor.kinds
    if kind != "number":
        convert = good_values(kind)
        if any(feature.bag for feature in tensor.features):
            return lambda features: convert(_slots(tensor, features))[None]
        return lambda features: convert([*map(features.get, names)])[None]
    pack = struct.Struct(f"<{tensor.width}f").pack

    def read_numbers(features: dict[str, Any]) -> Array:
        numbers = [*map(features.get, names)]
        if not _NUMBER.issuperset(map(type, numbers)):
            raise BadValueError("not a number")
        return np.frombuffer(pack(*[nan if number is None else number for number in numbers]), _FLOAT32)[None]

    return read_numbers


def _slots(tensor: InputTensor, features: dict[str, Any]) -> list[Any]:
    """The values of one row, None where there are none. BadValueError, FeatureError: a bag is not so easily read."""
    values: list[Any] = []
    for feature in tensor.features:
        value = features.get(feature.name)
        if (bag := feature.bag) is None:
            values.append(value)
            continue
        if isinstance(value, list) or (isinstance(value, str) and value.count(bag.separator) >= bag.values):
            raise BadValueError("one bag a row, or too many values")
        found = values_of(shared(feature, value), bag.separator)
        if feature.kind == "int":
            found = digits_as_integers(found)
        if len(found) > bag.values:
            raise BadValueError("too many values")
        values += [*found, *repeat(None, bag.values - len(found))]
    return values


def _columns(tensor: InputTensor, limits: BagLimits) -> "list[_Columns | _BagColumns]":
    """What reads a tensor: its features of each kind together, but each with bags by itself."""
    alone, bags = [], []
    for feature, place in zip(tensor.features, tensor.places, strict=True):
        if isinstance(place, slice):
            bags.append(_BagColumns(feature, place, limits))
        else:
            alone.append((feature, place))
    kinds = sorted({feature.kind for feature, _ in alone})
    return [*(_Columns([it for it in alone if it[0].kind == kind], kind) for kind in kinds), *bags]


class _BagColumns:
    """A feature with bags and its columns."""

    def __init__(self, feature: Feature, place: slice, limits: BagLimits) -> None:
        self._feature = feature
        self._place = place
        self._limits = limits

    def read(self, features: dict[str, Any], out: Array, cuts: Cuts, _: bool) -> None:
        """Read the bag of each row, or the one that all rows share."""
        value = features.get(self._feature.name)
        rows = value if isinstance(value, list) else [shared(self._feature, value)]
        self._limits.check(self._feature, rows)
        out[:, self._place] = column_from_values(self._feature, rows, cuts)


class _Columns:
    """Single-valued features of a tensor that are read alike, each with its column."""

    def __init__(self, alike: Sequence[tuple[Feature, int]], kind: ValueKind) -> None:
        self._features = [feature for feature, _ in alike]
        self._shared = Feature("", kind)
        self._names = [feature.name for feature in self._features]
        self._positions: Int64s = np.array([place for _, place in alike])

    def read(self, features: dict[str, Any], out: Array, _: Cuts, lists: bool) -> None:
        """Read lists one by one, if there are any, and the scalars, which all rows share, all at once."""
        names: Sequence[str] = self._names
        positions: Int64s | EllipsisType = ... if len(names) == out.shape[1] else self._positions
        values = [*map(features.get, names)]
        if lists:
            scalars = [i for i, value in enumerate(values) if type(value) is not list]
            for feature, position, value in zip(self._features, self._positions, values, strict=True):
                if isinstance(value, list):
                    out[:, position] = column_from_values(feature, value)
            names, positions = [names[i] for i in scalars], self._positions[scalars]
            values = [values[i] for i in scalars]
        try:
            out[:, positions] = column_from_values(self._shared, values)
        except FeatureError as error:
            raise FeatureError(names[error.row], 0, error.reason) from None


def _column_count(line: str) -> int:
    return line.count("\t") + 1


def _features(body: bytes) -> tuple[dict[str, Any], Any]:
    """What a request says of features, and of outputs; None where it does not."""
    request = parsed(body)
    if not isinstance(request, dict) or not isinstance(request.get("features"), dict):
        raise RequestError(400, 'the body must be {"features": {NAME: VALUE or list of VALUES, ...}}')
    if len(request) > 1 and (extra := next((key for key in request if key not in _KEYS), None)) is not None:
        raise RequestError(400, f"unknown key {shown(extra)} beside 'features'")
    return request["features"], request.get("outputs")


def _row_count(features: dict[str, Any]) -> int | None:
    """Rows that the lists speak of, None where there are only scalars. RequestError: they disagree or are empty."""
    if list not in map(type, features.values()):
        return None
    lengths = {name: len(value) for name, value in features.items() if isinstance(value, list)}
    first, rows = next(iter(lengths.items()))
    for name, length in lengths.items():
        if length != rows:
            raise RequestError(400, f"lists differ in length: {first} has {rows} values, {name} has {length}")
    if rows == 0:
        raise RequestError(400, f"{first} is an empty list: 0 rows to score")
    return rows
