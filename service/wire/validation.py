"""JSON bodies to pydantic models."""

from codecs import BOM_UTF8
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from thimble.models.base import sentence
from thimble.service.errors import RequestError

Body = TypeVar("Body", bound=BaseModel)


def validated(model: type[Body], content: bytes) -> Body:
    """What a body holds; an empty one is an empty object. RequestError 400 names the key that is wrong."""
    text = content.removeprefix(BOM_UTF8)
    try:
        return model.model_validate_json(text if text.strip() else b"{}")
    except ValidationError as error:
        raise RequestError(400, sentence(error, "the request").replace("Invalid JSON", "invalid JSON")) from None
