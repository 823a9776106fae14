"""Rows of the demo model's features, and the requests that carry them in each server's format.

Ids are whole numbers below 2^32. Numbers that are missing go over the wire as 0 where a format has no other way to say
it; the model scores both alike.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import orjson

from testing.load import Request
from thimble.client.encoding import infer_request
from thimble.export.clicks.generate import GeneratedClicks
from thimble.models.features import Batch, batch_from_values
from thimble.models.hashing import Floats
from thimble.models.presets import preset
from thimble.models.spec import METADATA_KEY, Precision, parse_spec

MODEL = Path(__file__).parents[1] / "artifacts" / "demo" / "1" / "model.onnx"
NAME = "demo"
TOLERANCE = Precision(mlps="int8").golden_tolerance  # the demo model's
JSON_HEADERS = {"Content-Type": "application/json"}

Check = Callable[[bytes], bool]


def golden_rows(model: Path = MODEL) -> tuple[Batch, Floats]:
    """The golden rows of an artifact and the scores that they must have, float32 [rows]."""
    metadata = {prop.key: prop.value for prop in onnx.load(model, load_external_data=False).metadata_props}
    spec = parse_spec(metadata[METADATA_KEY])
    assert spec.golden is not None
    columns = [spec.golden.features[name] for name in spec.feature_names]
    return batch_from_values(spec, columns), np.array(spec.golden.scores, np.float32)


def random_rows(rows: int, seed: int = 0) -> Batch:
    """Clicks distributed as Criteo's are, none of which the demo model has seen."""
    clicks = GeneratedClicks(preset(NAME), rows, seed=1_000_003 + seed)
    return next(iter(clicks.read(0, rows, rows))).batch


def post(path: str, body: bytes, headers: dict[str, str], rows: int = 1, check: Check | None = None) -> Request:
    fields = {"Host": "127.0.0.1", **headers, "Content-Length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return Request(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body, rows, check)


def near(scores_of: Callable[[bytes], Any], expected: Floats) -> Check:
    """Whether the scores in an answer's body are the expected ones."""

    def check(body: bytes) -> bool:
        scores = np.asarray(scores_of(body), np.float32).ravel()
        return scores.shape == expected.shape and bool((np.abs(scores - expected) <= TOLERANCE).all())

    return check


def _without_nan(batch: Batch) -> Batch:
    return Batch(np.nan_to_num(batch.dense, nan=0.0), batch.ids)


def features(batch: Batch) -> dict[str, Any]:
    """Columns by name as /v1/score takes them, scalars for a single row; null where a value is missing."""
    dense: list[list[Any]] = [[None if x != x else int(x) for x in column] for column in batch.dense.T.tolist()]
    ids: list[list[Any]] = [[f"{x:08x}" if x else None for x in column] for column in batch.ids.T.tolist()]
    names = [*(f"I{i}" for i in range(1, 14)), *(f"C{i}" for i in range(1, 27))]
    columns = dict(zip(names, dense + ids, strict=True))
    return {name: column[0] for name, column in columns.items()} if len(batch.ids) == 1 else columns


def score_json(batch: Batch, expected: Floats | None = None, path: str = "/v1/score") -> Request:
    """{"features": {name: value, or one value a row}}."""
    check = None if expected is None else near(lambda body: orjson.loads(body)["scores"], expected)
    return post(path, orjson.dumps({"features": features(batch)}), JSON_HEADERS, len(batch.ids), check)


def plain_json(batch: Batch, expected: Floats | None = None, path: str = "/score") -> Request:
    """A single row, {"I1": 1, ..., "C26": "0b8e1fa2"}."""
    check = None if expected is None else near(lambda body: orjson.loads(body)["score"], expected)
    return post(path, orjson.dumps(features(batch)), JSON_HEADERS, 1, check)


def arrays_json(batch: Batch, expected: Floats | None = None, path: str = "/predict") -> Request:
    """{"dense": [[13 numbers], ...], "ids": [[26 integers], ...]}, answered with {"scores": list}."""
    check = None if expected is None else near(lambda body: orjson.loads(body)["scores"], expected)
    dense, ids = _without_nan(batch)
    body = orjson.dumps({"dense": dense.tolist(), "ids": ids.tolist()})
    return post(path, body, JSON_HEADERS, len(ids), check)


def rows_json(batch: Batch, expected: Floats | None = None, path: str = "/predict") -> Request:
    """{"rows": [[39 numbers], ...]}, answered with a list."""
    check = None if expected is None else near(orjson.loads, expected)
    dense, ids = _without_nan(batch)
    rows = [numbers + tokens for numbers, tokens in zip(dense.tolist(), ids.tolist(), strict=True)]
    return post(path, orjson.dumps({"rows": rows}), JSON_HEADERS, len(ids), check)


def infer_json(batch: Batch, expected: Floats | None = None, model: str = NAME) -> Request:
    """Open Inference Protocol, tensors as flat JSON arrays."""
    dense, ids = _without_nan(batch)
    check = None if expected is None else near(lambda body: orjson.loads(body)["outputs"][0]["data"], expected)
    inputs = [
        {"name": "dense", "datatype": "FP32", "shape": list(dense.shape), "data": dense.ravel().tolist()},
        {"name": "ids", "datatype": "INT64", "shape": list(ids.shape), "data": ids.ravel().tolist()},
    ]
    return post(f"/v2/models/{model}/infer", orjson.dumps({"inputs": inputs}), JSON_HEADERS, len(ids), check)


def infer_binary(batch: Batch, expected: Floats | None = None, model: str = NAME) -> Request:
    """Open Inference Protocol, tensors as raw bytes after the JSON header, both ways."""
    headers, body = infer_request({"dense": batch.dense, "ids": batch.ids})
    size = 4 * len(batch.ids)
    # the scores are the only output, so they are the answer's last bytes
    check = None if expected is None else near(lambda answer: np.frombuffer(answer[-size:], "<f4"), expected)
    return post(f"/v2/models/{model}/infer", body, headers, len(batch.ids), check)


def single_rows() -> list[Request]:
    """Golden rows, whose scores are checked, and 56 others, each as JSON."""
    golden, scores = golden_rows()
    others = random_rows(56)
    checked = [score_json(row(golden, i), scores[i : i + 1]) for i in range(len(scores))]
    return [*checked, *(score_json(row(others, i)) for i in range(len(others.ids)))]


def row(batch: Batch, index: int) -> Batch:
    """One row of a batch, as a batch."""
    return Batch(batch.dense[index : index + 1], batch.ids[index : index + 1])
