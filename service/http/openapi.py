"""The OpenAPI description: the routes as FastAPI describes them, and scoring for each model that is served."""

from collections.abc import Iterator
from functools import cached_property
from itertools import chain
from typing import Any
from weakref import ref

from fastapi import FastAPI
from fastapi.openapi.constants import REF_TEMPLATE
from fastapi.openapi.utils import get_openapi
from starlette.routing import BaseRoute

from thimble.service.http.keys import OPEN_PATHS, Keys
from thimble.service.http.operations import scoring_routes
from thimble.service.http.responses import MEANINGS, ErrorBody
from thimble.service.releases.catalogue import Catalogue
from thimble.service.releases.loader import Model
from thimble.service.releases.versions import Part
from thimble.service.wire.rows import JSON


class Description:
    """What there is to ask for now. Models come and go, and it is written anew when they have."""

    def __init__(self, app: FastAPI, catalogue: Catalogue, keys: Keys, root_path: str) -> None:
        """`root_path` is where a proxy serves it, if that is known."""
        self._app = app
        self._servers = [{"url": root_path}] if root_path else None
        self._catalogue = catalogue
        self._keys = keys
        self._served: list[tuple[ref[Model], Part]] = []
        self._written: dict[str, Any] = {}

    def __call__(self) -> dict[str, Any]:
        served = [(ref(model), part) for versions in self._catalogue.models.values() for model, part in versions]
        if not self._written or served != self._served:
            self._served, self._written = served, self._describe(scoring_routes(self._catalogue))
            if live := next(iter(self._catalogue), None):
                _speak_of(live, self._written)
        return self._written

    @cached_property
    def outline(self) -> dict[str, Any]:
        """What there is whatever is served, and so nothing of models."""
        outline = self._describe([])
        outline["info"]["description"] += " Authorize with a key to see them, and what is served."
        return outline

    def _describe(self, scoring: list[BaseRoute]) -> dict[str, Any]:
        app = self._app
        description = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            tags=app.openapi_tags,
            routes=[*scoring, *app.routes],
            servers=self._servers,
        )
        schemas = description["components"]["schemas"]
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused)
        for _, operation in _operations(description):
            operation["responses"].pop("422", None)  # a path that names no model is a 404
            for media in operation.get("requestBody", {}).get("content", {}).values():
                schemas |= media["schema"].pop("$defs", {})
        if self._keys.guard_scoring or self._keys.guard_changes:
            _describe_keys(description, self._keys)
        return description


def _speak_of(model: Model, description: dict[str, Any]) -> None:
    """Have what a description gives as examples be about a model that is served, so that it can be sent as it is."""
    examples = {"model": model.name, "version": str(model.version)}
    for path, item in description["paths"].items():
        if path.endswith("/release"):
            item["put"]["requestBody"]["content"][JSON]["example"] = {"live": model.version}
        for parameter in chain.from_iterable(it.get("parameters", ()) for it in item.values()):
            if parameter["in"] == "path" and parameter["name"] in examples:
                parameter["example"] = examples[parameter["name"]]


def _describe_keys(description: dict[str, Any], keys: Keys) -> None:
    description["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    error = {"schema": {"$ref": REF_TEMPLATE.format(model=ErrorBody.__name__)}}
    for path, operation in _operations(description):
        changes = "403" in operation["responses"]
        if path not in OPEN_PATHS and (keys.guard_scoring or (changes and keys.guard_changes)):
            operation["security"] = [{"key": []}]
            operation["responses"]["401"] = {"description": MEANINGS[401], "content": {JSON: error}}


def _operations(description: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, operations in description["paths"].items():
        for operation in operations.values():
            yield path, operation
