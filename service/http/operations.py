"""The scoring routes as the description shows them: for each model that is served, with examples that can be sent."""

from collections.abc import Callable
from typing import Any, NamedTuple

from fastapi import APIRouter
from starlette.routing import BaseRoute

from thimble.models.features import batch_from_values
from thimble.service.http.paths import INFER_ROUTES, SCORING_ROUTES
from thimble.service.http.responses import BYTES, errors
from thimble.service.http.schemas import infer_answer, infer_request, score_answer, score_request
from thimble.service.releases.catalogue import Catalogue
from thimble.service.releases.loader import Model
from thimble.service.wire.rows import JSON, TSV
from thimble.service.wire.tensors import DATATYPES

HEADER_LENGTH = "Inference-Header-Content-Length"
_SCORES = "a click probability for each row, in the order of the request"
_RESPONSES = errors(400, 404, 408, 413, 415, 429, 503, 504)
for _status in (429, 503):
    _RESPONSES[_status]["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}


class _Operation(NamedTuple):
    """How a model is asked in one of the protocols. The endpoint's name, types and docstring are what is described."""

    tag: str
    summary: str
    endpoint: Callable[..., Any]
    parameter: dict[str, Any]
    request: dict[str, Any]
    response: dict[str, Any]


def scoring_routes(catalogue: Catalogue) -> list[BaseRoute]:
    """A route for each name and version that can be asked to score, to be described and never called."""
    served = [(model, part == "live") for versions in catalogue.models.values() for model, part in versions]
    live_models = sum(live for _, live in served)
    router = APIRouter()
    for model, live in served:
        score, infer = _score(model), _infer(model)
        for route in SCORING_ROUTES:
            if "{version}" in route:
                # no name begins with _, so none of a model is one of a version
                asked, suffix = f"version {model.version} of {model.name}", f"__{model.name}_{model.version}"
            elif live and "{model}" in route:
                asked, suffix = model.name, f"_{model.name}"
            elif live and live_models == 1:
                asked, suffix = "the model", ""
            else:
                continue
            operation = infer if route in INFER_ROUTES else score
            router.add_api_route(
                route.format(model=model.name, version=model.version),
                operation.endpoint,
                methods=["POST"],
                tags=[operation.tag],
                operation_id=f"{operation.endpoint.__name__}{suffix}",
                summary=f"{operation.summary} with {asked}",
                responses={**_RESPONSES, 200: operation.response},
                openapi_extra={"parameters": [operation.parameter], "requestBody": {"content": operation.request}},
            )
    return router.routes


def _score(model: Model) -> _Operation:
    row = model.example.row
    shown = {"model": model.name, "version": model.version, "scores": model.example.answer}
    named = f"{model.name}_{model.version}"
    request, answer = score_request(model.spec, named), score_answer(model.spec, named)

    def score(body: request) -> answer:  # type: ignore[valid-type]
        """A scalar is shared by all rows, a list has one value a row. A feature left out, null or blank is missing.
        Tab-separated lines hold the dense features, then the fields, with or without a label before them."""
        raise NotImplementedError  # only described here: `ScoringCall` answers

    return _Operation(
        tag="score",
        summary="Score rows",
        endpoint=score,
        parameter=_header("Timeout-Ms", "milliseconds that the answer is worth waiting for", 1, maximum=999_999_999),
        request={
            JSON: {"example": {"features": row}},
            TSV: {"schema": {"type": "string", "minLength": 1}, "example": "\t".join(map(str, row.values()))},
        },
        response={"description": _SCORES, "content": {JSON: _shown(shown, model)}},
    )


def _infer(model: Model) -> _Operation:
    tensors = batch_from_values(model.spec, [[value] for value in model.example.row.values()]).fed()
    inputs = [
        {
            "name": tensor.name,
            "datatype": DATATYPES[tensor.dtype][0],
            "shape": tensors[tensor.name].shape,
            "data": tensors[tensor.name][0].tolist(),
        }
        for tensor in model.spec.graph_inputs
    ]
    outputs = [
        {"name": name, "datatype": "FP32", "shape": [1], "data": [score]}
        for name, score in (model.example.scores or {}).items()
    ]
    shown = {"model_name": model.name, "model_version": str(model.version), "outputs": outputs}
    named = f"{model.name}_{model.version}"
    request, answer = infer_request(model.spec, named), infer_answer(model.spec, named)

    def infer(body: request) -> answer:  # type: ignore[valid-type]
        """The Open Inference Protocol, with Triton's binary tensors: the JSON, whose length
        Inference-Header-Content-Length says, and the tensors behind it. The Content-Type is not looked at."""
        raise NotImplementedError  # only described here: `ScoringCall` answers

    length = _header(HEADER_LENGTH, "bytes of JSON before the binary tensors; without it, all of the body is JSON")
    return _Operation(
        tag="Open Inference Protocol",
        summary="Infer",
        endpoint=infer,
        parameter=length,
        request={JSON: {"example": {"inputs": inputs}}, **BYTES},
        response={
            "description": _SCORES,
            "headers": {
                HEADER_LENGTH: {
                    "description": "bytes of JSON before the binary tensor, where the scores are binary",
                    "schema": {"type": "integer", "minimum": 0},
                }
            },
            "content": {JSON: _shown(shown, model), **BYTES},
        },
    )


def _shown(answer: dict[str, Any], model: Model) -> dict[str, Any]:
    """An answer to the example, as an example itself where the row gets a score."""
    return {} if model.example.scores is None else {"example": answer}


def _header(name: str, description: str, minimum: int = 0, **limits: int) -> dict[str, Any]:
    schema = {"type": "integer", "minimum": minimum, **limits}
    return {"in": "header", "name": name, "description": description, "schema": schema}
