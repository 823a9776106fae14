"""The scoring routes as the description shows them: for each model that is served, with examples that can be sent."""

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

import numpy.typing as npt
from fastapi.openapi.constants import REF_TEMPLATE
from fastapi.openapi.models import (
    Components,
    Header,
    MediaType,
    Operation,
    Parameter,
    Reference,
    RequestBody,
    Response,
    Schema,
)
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from thimble.service.engine.engine import golden_batch
from thimble.service.http.paths import INFER_ROUTES, SCORING_ROUTES
from thimble.service.http.responses import BINARY, MEANINGS, ErrorBody
from thimble.service.http.schemas import InferAnswer, ScoreAnswer, infer_request, score_request
from thimble.service.http.tags import Tag
from thimble.service.releases.catalogue import Catalogue
from thimble.service.releases.loader import Model
from thimble.service.releases.versions import Part
from thimble.service.wire.rows import JSON, TSV
from thimble.service.wire.tensors import DATATYPES

TIMEOUT, HEADER_LENGTH = "Timeout-Ms", "Inference-Header-Content-Length"
Content = Callable[[type[BaseModel], Any], MediaType]
_BREAKS = re.compile(r"[\t\r\n]")
_ERRORS = (400, 404, 408, 413, 415, 429, 504)
_BYTES = MediaType(schema=Schema(type="string", format="binary"))
_SCORES = "a click probability for each row, in the order of the request"


class Described(NamedTuple):
    """Operations by path and method, and the schemas that they refer to by name."""

    paths: dict[str, dict[str, Any]]
    schemas: dict[str, Any]


def scoring_operations(catalogue: Catalogue) -> Described:
    """A path for each name and version that can be asked to score."""
    served = [_Served.of(model, part) for versions in catalogue.model_versions for model, part in versions]
    live_models = sum(it.live for it in served)
    bodies: list[type[BaseModel]] = [
        ScoreAnswer,
        InferAnswer,
        ErrorBody,
        *(it.score for it in served),
        *(it.infer for it in served),
    ]
    references, definitions = models_json_schema([(body, "validation") for body in bodies], ref_template=REF_TEMPLATE)

    def content(body: type[BaseModel], example: Any) -> MediaType:
        return MediaType(schema=Reference.model_validate(references[body, "validation"]), example=example)

    paths = {
        route.format(model=it.model.name, version=it.model.version): {"post": _dumped(_operation(it, route, content))}
        for it in served
        for route in SCORING_ROUTES
        if "{version}" in route or (it.live and ("{model}" in route or live_models == 1))
    }
    return Described(paths, _dumped(Components(schemas=definitions["$defs"]))["schemas"])


class _Served(NamedTuple):
    """A version that can be asked, and what requests to it look like."""

    model: Model
    live: bool
    score: type[BaseModel]
    infer: type[BaseModel]

    @classmethod
    def of(cls, model: Model, part: Part) -> Self:
        spec, version = model.spec, model.version
        return cls(model, part == "live", score_request(spec, version), infer_request(spec, version))


def _operation(served: _Served, route: str, content: Content) -> Operation:
    name, version = served.model.name, served.model.version
    operation = (_infer if route in INFER_ROUTES else _score)(served, content)
    if "{version}" in route:
        asked, suffix = f"version {version} of {name}", f"_{name}_{version}"
    elif "{model}" in route:
        asked, suffix = name, f"_{name}"
    else:
        asked, suffix = "the model", ""
    operation.summary = f"{operation.summary} with {asked}"
    operation.operationId = f"{operation.operationId}{suffix}"
    return operation


def _score(served: _Served, content: Content) -> Operation:
    model = served.model
    golden = model.spec.golden
    assert golden is not None
    rows = [dict(zip(golden.features, values, strict=True)) for values in zip(*golden.features.values(), strict=True)]
    # the same row in both forms, so one that a line can carry
    shown = next((i for i, row in enumerate(rows) if not any(_BREAKS.search(str(v)) for v in row.values())), 0)
    line = "\t".join("" if rows[shown][name] is None else str(rows[shown][name]) for name in model.spec.feature_names)
    answer = {"model": model.name, "version": model.version, "scores": [round(golden.scores[shown], 6)]}
    return Operation(
        tags=[Tag.SCORE],
        operationId="score",
        summary="Score rows",
        description=(
            "A scalar is shared by all rows, a list has one value a row. A feature left out, null or blank is missing. "
            "Tab-separated lines hold the dense features, then the fields, with or without a label before them."
        ),
        parameters=[
            _header(TIMEOUT, "milliseconds that the answer is worth waiting for", minimum=1, maximum=999_999_999)
        ],
        requestBody=RequestBody(
            required=True,
            content={
                JSON: content(served.score, {"features": rows[shown]}),
                TSV: MediaType(schema=Schema(type="string", minLength=1), example=line),
            },
        ),
        responses={
            "200": Response(description=_SCORES, content={JSON: content(ScoreAnswer, answer)}),
            **_errors(content),
        },
    )


def _infer(served: _Served, content: Content) -> Operation:
    model = served.model
    golden = model.spec.golden
    assert golden is not None
    batch = golden_batch(model.spec, golden)
    rows: Sequence[npt.NDArray[Any]] = batch.part(0, 1)
    inputs = [
        {
            "name": tensor.name,
            "datatype": DATATYPES[tensor.dtype][0],
            "shape": row.shape,
            "data": [None if x != x else x for x in row[0].tolist()],
        }
        for tensor, row in zip(model.spec.inputs, rows, strict=True)
    ]
    output = {"name": "score", "datatype": "FP32", "shape": [1], "data": [round(golden.scores[0], 6)]}
    answer = {"model_name": model.name, "model_version": str(model.version), "outputs": [output]}
    length = "bytes of JSON before the binary tensor, where the scores are binary"
    return Operation(
        tags=[Tag.PROTOCOL],
        operationId="infer",
        summary="Infer",
        description=(
            "The Open Inference Protocol, with Triton's binary tensors: the JSON, whose length "
            "Inference-Header-Content-Length says, and the tensors behind it. The Content-Type is not looked at."
        ),
        parameters=[
            _header(HEADER_LENGTH, "bytes of JSON before the binary tensors; without it, all of the body is JSON")
        ],
        requestBody=RequestBody(
            required=True, content={JSON: content(served.infer, {"inputs": inputs}), BINARY: _BYTES}
        ),
        responses={
            "200": Response(
                description=_SCORES,
                headers={HEADER_LENGTH: Header(description=length, schema=Schema(type="integer", minimum=0))},
                content={JSON: content(InferAnswer, answer), BINARY: _BYTES},
            ),
            **_errors(content),
        },
    )


def _header(name: str, description: str, *, minimum: int = 0, maximum: int | None = None) -> Parameter:
    number = Schema(type="integer", minimum=minimum, maximum=maximum)
    return Parameter.model_validate({"in": "header", "name": name, "description": description, "schema": number})


def _errors(content: Content) -> dict[str, Response]:
    answers = {
        str(status): Response(description=MEANINGS[status], content={JSON: content(ErrorBody, None)})
        for status in _ERRORS
    }
    answers["429"].headers = {"Retry-After": Header(schema=Schema(type="integer"))}
    return answers


def _dumped(described: BaseModel) -> dict[str, Any]:
    return described.model_dump(mode="json", by_alias=True, exclude_none=True)
