"""Request bodies to rows, scores to answers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson

from models.features import (
    Batch,
    FeatureError,
    batch_from_text,
    dense_from_values,
    ids_from_values,
    shown,
)
from models.hashing import Floats, Int64s
from models.spec import ModelSpec
from service.errors import RequestError

JSON, TSV = "application/json", "text/tab-separated-values"


def read_body(content_type: str, body: bytes, spec: ModelSpec, max_rows: int) -> Batch:
    """Rows from a body of either type. RequestError: 400, 413 or 415."""
    if content_type not in (JSON, TSV):
        raise RequestError(415, f"Content-Type {shown(content_type)} is not supported; send {JSON} or {TSV}")
    if not body.strip(b"\r\n" if content_type == TSV else None):
        raise RequestError(400, "the body is empty")
    return (read_json if content_type == JSON else read_tsv)(body, spec, max_rows)


def read_json(body: bytes, spec: ModelSpec, max_rows: int) -> Batch:
    """{"features": {name: value or list}}: a scalar is shared by all rows, a list has one value a row."""
    features = _features(body)
    unknown = features.keys() - set(spec.feature_names)
    if unknown:
        raise RequestError(400, f"unknown feature {shown(min(unknown))}")
    rows = _row_count(features)
    if rows is not None and rows > max_rows:
        raise RequestError(413, f"{rows} rows are more than the limit of {max_rows} in one request")
    try:
        dense = [dense_from_values(name, _listed(features.get(name))) for name in spec.dense]
        ids = [ids_from_values(field.name, field.kind, _listed(features.get(field.name))) for field in spec.fields]
    except FeatureError as error:
        place = f" (index {error.row})" if isinstance(features.get(error.feature), list) else ""
        raise RequestError(400, f"{error}{place}") from None
    return Batch(_stacked(dense, rows or 1), _stacked(ids, rows or 1))


def read_tsv(body: bytes, spec: ModelSpec, max_rows: int) -> Batch:
    """Lines of dense features then fields, tab-separated, with or without a label before them."""
    try:
        lines = body.decode().removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise RequestError(400, f"line {line}: not valid UTF-8") from None
    if len(lines) > max_rows:
        raise RequestError(413, f"{len(lines)} rows are more than the limit of {max_rows} in one request")
    table = [line.removesuffix("\r").split("\t") for line in lines]
    width = len(spec.feature_names)
    first = len(table[0])
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
        return batch_from_text(spec, columns)
    except FeatureError as error:
        raise RequestError(400, f"line {error.row + 1}: {error}") from None


def answer(model: str, version: int, scores: Floats) -> bytes:
    """The JSON of an answer; scores keep float32's precision."""
    return orjson.dumps({"model": model, "version": version, "scores": scores}, option=orjson.OPT_SERIALIZE_NUMPY)


def _features(body: bytes) -> dict[str, Any]:
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(400, f"invalid JSON: {error}") from None
    if not isinstance(request, dict) or not isinstance(request.get("features"), dict):
        raise RequestError(400, 'the body must be {"features": {NAME: VALUE or list of VALUES, ...}}')
    extra = next((key for key in request if key != "features"), None)
    if extra is not None:
        raise RequestError(400, f"unknown key {shown(extra)} beside 'features'")
    features: dict[str, Any] = request["features"]
    return features


def _row_count(features: dict[str, Any]) -> int | None:
    """Rows that the lists speak of, None where there are only scalars. RequestError: they disagree or are empty."""
    lengths = {name: len(value) for name, value in features.items() if isinstance(value, list)}
    if not lengths:
        return None
    first, rows = next(iter(lengths.items()))
    for name, length in lengths.items():
        if length != rows:
            raise RequestError(400, f"lists differ in length: {first} has {rows} values, {name} has {length}")
    if rows == 0:
        raise RequestError(400, f"{first} is an empty list: 0 rows to score")
    return rows


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [value]


def _stacked(columns: Sequence[Floats] | Sequence[Int64s], rows: int) -> Any:
    return np.stack([column if len(column) == rows else np.repeat(column, rows) for column in columns], axis=1)
