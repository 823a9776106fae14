"""The OpenAPI description of the scoring routes, written for the models that are served: its examples can be sent."""

import re
from typing import Any

import numpy as np

from thimble.models.hashing import ID_LIMIT
from thimble.service.engine.engine import golden_batch
from thimble.service.http.keys import OPEN_PATHS, Keys
from thimble.service.releases.catalogue import Registry
from thimble.service.releases.loader import Model
from thimble.service.wire.rows import JSON, TSV
from thimble.service.wire.tensors import DATATYPES

_BREAKS = re.compile(r"[\t\r\n]")
_ERROR_SCHEMA = {
    "type": "object",
    "required": ["error"],
    "additionalProperties": False,
    "properties": {"error": {"type": "string", "description": "one sentence that says what is wrong"}},
}
_ERROR = {JSON: {"schema": _ERROR_SCHEMA}}
_MEANINGS = {
    "400": "malformed, or a value out of range",
    "401": "a key is needed, and there is none or an unknown one",
    "403": "this key allows no changes, or no key does",
    "404": "no such model or version",
    "408": "the request did not arrive in time",
    "413": "too many bytes or rows",
    "409": "a release that cannot be, or a version that is there already",
    "415": "Content-Type or Content-Encoding not supported",
    "429": "too many rows wait, or these would be ready too late; Retry-After says in how many seconds to come again",
    "503": "no model is loaded, or the server is shutting down",
    "507": "it could not be written down",
    "504": "the timeout passed, or these rows alone take longer",
}
ERRORS: dict[str, dict[str, Any]] = {
    status: {"description": meaning, "content": _ERROR} for status, meaning in _MEANINGS.items()
}
SCORING = {status: ERRORS[status] for status in ("400", "404", "408", "413", "415", "429", "504")}
ERRORS["429"]["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
BINARY = "application/octet-stream"


def scoring_paths(registry: Registry) -> dict[str, Any]:
    """The paths of all scoring routes."""
    models = list(registry)
    paths: dict[str, Any] = {}
    if len(models) == 1:
        paths["/v1/score"] = {"post": _score(models[0], "score", "Score rows with the model")}
    for model in models:
        name, version = model.name, model.version
        title = f"Score rows with version {version} of {name}"
        paths[f"/v1/models/{name}/score"] = {"post": _score(model, f"score_{name}", f"Score rows with {name}")}
        paths[f"/v1/models/{name}/versions/{version}/score"] = {"post": _score(model, f"score_{name}_{version}", title)}
        paths[f"/v2/models/{name}/infer"] = {"post": _infer(model, f"infer_{name}", f"Infer with {name}")}
        title = f"Infer with version {version} of {name}"
        paths[f"/v2/models/{name}/versions/{version}/infer"] = {"post": _infer(model, f"infer_{name}_{version}", title)}
    return paths


def describe_keys(description: dict[str, Any], keys: Keys) -> None:
    """Say in a description which operations need a key."""
    description.setdefault("components", {})["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for path, operations in description["paths"].items():
        for operation in operations.values():
            changes = "403" in operation["responses"]
            if path not in OPEN_PATHS and (keys.guard_scoring or (changes and keys.guard_changes)):
                operation["security"] = [{"key": []}]
                operation["responses"]["401"] = ERRORS["401"]


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
        "parameters": [
            {
                "name": "Timeout-Ms",
                "in": "header",
                "description": "milliseconds that the answer is worth waiting for",
                "schema": {"type": "integer", "minimum": 1, "maximum": 999_999_999},
            }
        ],
        "requestBody": {
            "required": True,
            "content": {
                JSON: {"schema": _request_schema(model), "example": request},
                TSV: {"schema": {"type": "string", "minLength": 1}, "example": line},
            },
        },
        "responses": {
            "200": {
                "description": "a click probability for each row, in the order of the request",
                "content": {JSON: {"schema": _ANSWER, "example": answer}},
            },
            **SCORING,
        },
    }


def _infer(model: Model, operation: str, title: str) -> dict[str, Any]:
    golden = model.spec.golden
    assert golden is not None
    batch = golden_batch(model.spec, golden)
    row = [rows[0].tolist() for rows in batch]
    inputs = [
        {
            "name": tensor.name,
            "datatype": DATATYPES[tensor.dtype][0],
            "shape": [1, tensor.width],
            "data": [None if x != x else x for x in values],
        }
        for tensor, values in zip(model.spec.inputs, row, strict=True)
    ]
    output = {"name": "score", "datatype": "FP32", "shape": [1], "data": [round(golden.scores[0], 6)]}
    answer = {"model_name": model.name, "model_version": str(model.version), "outputs": [output]}
    return {
        "operationId": operation,
        "summary": title,
        "description": (
            "The Open Inference Protocol, with Triton's binary tensors: the JSON, whose length "
            "Inference-Header-Content-Length says, and the tensors behind it. The Content-Type is not looked at."
        ),
        "tags": ["Open Inference Protocol"],
        "parameters": [
            {
                "name": "Inference-Header-Content-Length",
                "in": "header",
                "description": "bytes of JSON before the binary tensors; without it, all of the body is JSON",
                "schema": {"type": "integer", "minimum": 0},
            }
        ],
        "requestBody": {
            "required": True,
            "content": {
                JSON: {"schema": _inference_schema(model), "example": {"inputs": inputs}},
                BINARY: {"schema": {"type": "string", "format": "binary"}},
            },
        },
        "responses": {
            "200": {
                "description": "a click probability for each row, in the order of the request",
                "headers": {
                    "Inference-Header-Content-Length": {
                        "description": "bytes of JSON before the binary tensor, where the scores are binary",
                        "schema": {"type": "integer", "minimum": 0},
                    }
                },
                "content": {
                    JSON: {"schema": _INFERRED, "example": answer},
                    BINARY: {"schema": {"type": "string", "format": "binary"}},
                },
            },
            **SCORING,
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
_FLOAT32 = {"minimum": float(np.finfo(np.float32).min), "maximum": float(np.finfo(np.float32).max)}
_ID = {"minimum": 0, "exclusiveMaximum": ID_LIMIT}
_ELEMENTS: dict[str, dict[str, Any]] = {
    "FP32": {"type": ["number", "null"], **_FLOAT32},
    "INT64": {"type": ["integer", "null"], **_ID},
    "BYTES": {"type": "string"},
}
_VALUES: dict[str, dict[str, Any]] = {
    "number": {"type": ["number", "string", "null"], "pattern": r"^\s*$", **_FLOAT32},
    "int": {"type": ["integer", "string", "null"], "pattern": r"^\s*$", **_ID},
    "hex": {"type": ["string", "null"], "pattern": r"^(\s*|[0-9a-fA-F]{1,15})$"},
    "string": {"type": ["string", "null"]},
}


def _request_schema(model: Model) -> dict[str, Any]:
    kinds = dict(model.spec.features)
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


_INFERRED = {
    "type": "object",
    "required": ["model_name", "model_version", "outputs"],
    "properties": {
        "id": {"type": "string"},
        "model_name": {"type": "string"},
        "model_version": {"type": "string"},
        "outputs": {
            "type": "array",
            "minItems": 1,
            "maxItems": 1,
            "items": {
                "type": "object",
                "required": ["name", "datatype", "shape", "data"],
                "properties": {
                    "name": {"const": "score"},
                    "datatype": {"const": "FP32"},
                    "shape": {"type": "array", "items": {"type": "integer"}},
                    "data": {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1}},
                },
            },
        },
    },
}


_PARAMETERS = {
    "type": "object",
    "properties": {
        "timeout": {
            "type": "integer",
            "minimum": 0,
            "maximum": (1 << 63) - 1,
            "description": "microseconds that the answer is worth waiting for, 0 for the server's own timeout",
        },
        "binary_data_output": {"type": "boolean", "description": "whether scores are binary where outputs do not say"},
    },
}
_OUTPUT = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"const": "score"},
        "parameters": {"type": "object", "properties": {"binary_data": {"type": "boolean"}}},
    },
}


def _inference_schema(model: Model) -> dict[str, Any]:
    def tensor(name: str, datatype: str, width: int, item: dict[str, Any]) -> dict[str, Any]:
        shape = [{"type": "integer", "minimum": 1}, {"const": width}]
        row = {"type": "array", "minItems": width, "maxItems": width, "items": item}
        flat = {"type": "array", "minItems": width, "items": item}
        return {
            "type": "object",
            "required": ["name", "datatype", "shape", "data"],
            "properties": {
                "name": {"const": name},
                "datatype": {"const": datatype},
                "shape": {"type": "array", "prefixItems": shape, "minItems": 2, "maxItems": 2},
                "data": {"anyOf": [{"type": "array", "minItems": 1, "items": row}, flat]},
            },
        }

    inputs = [
        {"anyOf": [tensor(it.name, datatype, it.width, _ELEMENTS[datatype]) for datatype in DATATYPES[it.dtype]]}
        for it in model.spec.inputs
    ]
    return {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string"},
            "inputs": {
                "type": "array",
                "description": "in any order",
                "prefixItems": inputs,
                "minItems": len(inputs),
                "maxItems": len(inputs),
            },
            "outputs": {"type": "array", "maxItems": 1, "items": _OUTPUT},
            "parameters": _PARAMETERS,
        },
    }
