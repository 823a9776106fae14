"""Request bodies to rows, scores to answers."""

import struct
from collections.abc import Callable, Sequence
from math import nan
from types import EllipsisType
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import orjson

from thimble.models.features import (
    Batch,
    FeatureError,
    batch_from_text,
    dense_from_values,
    ids_from_values,
    shown,
)
from thimble.models.hashing import Floats, Int64s
from thimble.models.spec import Kind, ModelSpec
from thimble.service.errors import RequestError

JSON, TSV = "application/json", "text/tab-separated-values"
Number = TypeVar("Number", np.float32, np.int64)
_NUMBER = frozenset((int, float, type(None)))
_FLOAT32 = np.dtype("<f4")


class RowReader:
    """Reads the rows of a model from bodies of either type."""

    def __init__(self, spec: ModelSpec, max_rows: int) -> None:
        self._spec = spec
        self._max_rows = max_rows
        self._known = frozenset(spec.feature_names)
        self._width = len(spec.feature_names)
        self._numbers = _Columns({name: place for place, name in enumerate(spec.dense)}, dense_from_values)
        self._single = _SingleRow(spec)
        self._ids = [
            _Columns({f.name: place for place, f in enumerate(spec.fields) if f.kind == kind}, _encoder(kind))
            for kind in sorted({field.kind for field in spec.fields})
        ]

    def read(self, content_type: str, body: bytes) -> Batch:
        """Rows from a body of either type. RequestError: 400, 413 or 415."""
        if content_type not in (JSON, TSV):
            raise RequestError(415, f"Content-Type {shown(content_type)} is not supported; send {JSON} or {TSV}")
        if not body.strip(b"\r\n" if content_type == TSV else None):
            raise RequestError(400, "the body is empty")
        return (self.json if content_type == JSON else self.tsv)(body)

    def json(self, body: bytes) -> Batch:
        """{"features": {name: value or list}}: a scalar is shared by all rows, a list has one value a row."""
        features = _features(body)
        if not self._known.issuperset(features):
            raise RequestError(400, f"unknown feature {shown(min(features.keys() - self._known))}")
        if (row := self._single.read(features)) is not None:
            return row
        rows = _row_count(features)
        if rows is not None:
            self.check_rows(rows)
        dense = np.empty((rows or 1, len(self._spec.dense)), np.float32)
        ids = np.empty((rows or 1, len(self._spec.fields)), np.int64)
        try:
            self._numbers.read(features, dense, rows is not None)
            for columns in self._ids:
                columns.read(features, ids, rows is not None)
        except FeatureError as error:
            place = f" (index {error.row})" if isinstance(features.get(error.feature), list) else ""
            raise RequestError(400, f"{error}{place}") from None
        return Batch(dense, ids)

    def tsv(self, body: bytes) -> Batch:
        """Lines of dense features then fields, tab-separated, with or without a label before them."""
        try:
            lines = body.decode().removesuffix("\n").split("\n")
        except UnicodeDecodeError as error:
            line = body.count(b"\n", 0, error.start) + 1
            raise RequestError(400, f"line {line}: not valid UTF-8") from None
        self.check_rows(len(lines))
        table = [line.removesuffix("\r").split("\t") for line in lines]
        width, first = self._width, len(table[0])
        if first not in (width, width + 1):
            raise RequestError(400, f"line 1: {first} columns, expected {width}, or {width + 1} with a label")
        for number, row in enumerate(table, 1):
            if len(row) != first:
                raise RequestError(400, f"line {number}: {len(row)} columns, expected {first} as in line 1")
        if first > width:
            for number, row in enumerate(table, 1):
                if row[0] not in ("", "0", "1"):
                    raise RequestError(400, f"line {number}: label {shown(row[0])} is not 0, 1 or blank")
        columns = list(zip(*table, strict=True))[first - width :]
        try:
            return batch_from_text(self._spec, columns)
        except FeatureError as error:
            raise RequestError(400, f"line {error.row + 1}: {error}") from None

    def check_rows(self, rows: int) -> None:
        """RequestError 413: too many in one request."""
        if rows > self._max_rows:
            raise RequestError(413, f"{rows} rows are more than the limit of {self._max_rows} in one request")


def answer(model: str, version: int, scores: Floats) -> bytes:
    """The JSON of an answer; scores keep float32's precision."""
    return orjson.dumps({"model": model, "version": version, "scores": scores}, option=orjson.OPT_SERIALIZE_NUMPY)


class _SingleRow:
    """Reads one row of good values, which is what comes most often, faster than any number of them.

    None where a value is a list, or not good, or where fields are of several kinds: `_Columns` reads those.
    """

    def __init__(self, spec: ModelSpec) -> None:
        self._numbers = spec.dense
        self._pack = struct.Struct(f"<{len(spec.dense)}f").pack
        self._fields = [field.name for field in spec.fields]
        kinds = {field.kind for field in spec.fields}
        self._kind = kinds.pop() if len(kinds) == 1 else None

    def read(self, features: dict[str, Any]) -> Batch | None:
        numbers = [*map(features.get, self._numbers)]
        if self._kind is None or not _NUMBER.issuperset(map(type, numbers)):
            return None
        try:
            dense = self._pack(*[nan if number is None else number for number in numbers])
            ids = ids_from_values("", self._kind, [*map(features.get, self._fields)])
        except (OverflowError, struct.error, FeatureError):
            return None
        return Batch(np.frombuffer(dense, _FLOAT32)[None], ids[None])


class _Columns(Generic[Number]):
    """Features that are read alike, each with its column."""

    def __init__(self, places: dict[str, int], encode: Callable[[str, Sequence[Any]], npt.NDArray[Number]]) -> None:
        self._names = list(places)
        self._places: Int64s = np.array(list(places.values()))
        self._encode: Callable[[str, Sequence[Any]], npt.NDArray[Number]] = encode

    def read(self, features: dict[str, Any], out: npt.NDArray[Number], lists: bool) -> None:
        """Read lists one by one, if there are any, and the scalars, which all rows share, all at once."""
        names: Sequence[str] = self._names
        places: Int64s | EllipsisType = ... if len(names) == out.shape[1] else self._places
        values = [*map(features.get, names)]
        if lists:
            scalars = [i for i, value in enumerate(values) if type(value) is not list]
            for name, place, value in zip(names, self._places, values, strict=True):
                if isinstance(value, list):
                    out[:, place] = self._encode(name, value)
            names, places = [names[i] for i in scalars], self._places[scalars]
            values = [values[i] for i in scalars]
        try:
            out[:, places] = self._encode("", values)
        except FeatureError as error:
            raise FeatureError(names[error.row], 0, error.reason) from None


def _encoder(kind: Kind) -> Callable[[str, Sequence[Any]], Int64s]:
    return lambda name, values: ids_from_values(name, kind, values)


def _features(body: bytes) -> dict[str, Any]:
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(400, f"invalid JSON: {error}") from None
    if not isinstance(request, dict) or not isinstance(request.get("features"), dict):
        raise RequestError(400, 'the body must be {"features": {NAME: VALUE or list of VALUES, ...}}')
    if len(request) > 1:
        extra = next(key for key in request if key != "features")
        raise RequestError(400, f"unknown key {shown(extra)} beside 'features'")
    features: dict[str, Any] = request["features"]
    return features


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
