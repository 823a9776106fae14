"""What the description says of the errors that routes answer with, and of the bodies that they read themselves."""

from typing import Any

from fastapi.openapi.constants import REF_TEMPLATE
from pydantic import BaseModel, Field

from thimble.models.base import Frozen
from thimble.service.wire.rows import JSON

MEANINGS = {
    400: "malformed, or a value out of range",
    401: "a key is needed, and there is none or an unknown one",
    403: "this key does not allow it, or no key is set that does",
    404: "no such model or version",
    408: "the request did not arrive in time",
    409: "a release that cannot be, one that something else came before, or a version that is there already",
    413: "too many bytes or rows",
    415: "Content-Type or Content-Encoding not supported",
    429: "too many rows wait, or these would be ready too late, or too many bytes are being read; "
    "Retry-After says in how many seconds to come again",
    503: "no model is loaded, its engine fails, the server is shutting down, or it lacks something for now",
    504: "the timeout passed, or these rows alone take longer",
    507: "it could not be written down; whether it is in force all the same is said",
}
# Of a route that changes what is served.
CHANGE_ERRORS = (400, 403, 404, 408, 409, 413, 415, 429, 503, 507)
BYTES = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
# The `openapi_extra` of a route whose body is a file.
FILE_BODY = {"requestBody": {"required": True, "content": BYTES}}


class ErrorBody(Frozen):
    error: str = Field(description="one sentence that says what is wrong")


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a FastAPI route that may answer with these."""
    return {status: {"model": ErrorBody, "description": MEANINGS[status]} for status in statuses}


def json_body(example: BaseModel, required: bool = True) -> dict[str, Any]:
    """The `openapi_extra` of a route that reads a model from its body itself. The example is such a body."""
    schema = type(example).model_json_schema(ref_template=REF_TEMPLATE)
    media = {"schema": schema, "example": example.model_dump(exclude_defaults=True)}
    return {"requestBody": {"required": required, "content": {JSON: media}}}
