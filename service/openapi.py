"""The OpenAPI description of the scoring routes, written for the models that are served: its examples can be sent."""

import re
from typing import Any

from service.registry import Model, Registry
from service.wire import JSON, TSV

_BREAKS = re.compile(r"[\t\r\n]")
ERROR = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
ERRORS = {
    "400": "malformed, or a value out of range",
    "404": "no such model or version",
    "413": "too many bytes or rows",
    "415": "Content-Type not supported",
}


def score_paths(registry: Registry) -> dict[str, Any]:
    """The paths of all scoring routes."""
    models = list(registry)
    paths: dict[str, Any] = {}
    if len(models) == 1:
        paths["/v1/score"] = {"post": _score(models[0], "score", "Score rows with the model")}
    for model in models:
        plain = f"/v1/models/{model.name}/score"
        versioned = f"/v1/models/{model.name}/versions/{model.version}/score"
        paths[plain] = {"post": _score(model, f"score_{model.name}", f"Score rows with {model.name}")}
        title = f"Score rows with version {model.version} of {model.name}"
        paths[versioned] = {"post": _score(model, f"score_{model.name}_{model.version}", title)}
    return paths


def _score(model: Model, operation: str, title: str) -> dict[str, Any]:
    golden = model.spec.golden
    assert golden is not None
    rows = [dict(zip(golden.features, values, strict=True)) for values in zip(*golden.features.values(), strict=True)]
    # the same row in both forms, so one that a line can carry
    shown = next((i for i, row in enumerate(rows) if not any(_BREAKS.search(str(v)) for v in row.values())), 0)
    request = {"features": rows[shown]}
    line = "\t".join("" if rows[shown][name] is None else str(rows[shown][name]) for name in model.spec.feature_names)
    answer = {"model": model.name, "version": model.version, "scores": [round(golden.scores[shown], 6)]}
    return {
        "operationId": operation,
        "summary": title,
        "description": (
            "A scalar is shared by all rows, a list has one value a row. A feature left out, null or blank is missing. "
            "Tab-separated lines hold the dense features, then the fields, with or without a label before them."
        ),
        "tags": ["score"],
        "requestBody": {
            "required": True,
            "content": {
                JSON: {"schema": _request_schema(model), "example": request},
                TSV: {"schema": {"type": "string"}, "example": line},
            },
        },
        "responses": {
            "200": {
                "description": "a click probability for each row, in the order of the request",
                "content": {JSON: {"schema": _ANSWER, "example": answer}},
            },
            **{
                status: {"description": meaning, "content": {JSON: {"schema": ERROR}}}
                for status, meaning in ERRORS.items()
            },
        },
    }


_ANSWER = {
    "type": "object",
    "required": ["model", "version", "scores"],
    "properties": {
        "model": {"type": "string"},
        "version": {"type": "integer"},
        "scores": {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1}},
    },
}
_VALUES: dict[str, dict[str, Any]] = {
    "number": {"type": ["number", "string", "null"], "pattern": r"^\s*$"},
    "int": {"type": ["integer", "string", "null"], "pattern": r"^\s*$", "minimum": 0, "exclusiveMaximum": 1 << 60},
    "hex": {"type": ["string", "null"], "pattern": r"^(\s*|[0-9a-fA-F]{1,15})$"},
    "string": {"type": ["string", "null"]},
}


def _request_schema(model: Model) -> dict[str, Any]:
    kinds = dict.fromkeys(model.spec.dense, "number") | {field.name: field.kind for field in model.spec.fields}
    features = {
        name: {"anyOf": [_VALUES[kind], {"type": "array", "minItems": 1, "items": _VALUES[kind]}]}
        for name, kind in kinds.items()
    }
    return {
        "type": "object",
        "required": ["features"],
        "additionalProperties": False,
        "properties": {"features": {"type": "object", "additionalProperties": False, "properties": features}},
    }
