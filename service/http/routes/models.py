"""The models being served."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from thimble.service.engine.engine import Lookup
from thimble.service.releases.catalogue import Catalogue
from thimble.service.releases.loader import Model
from thimble.service.releases.versions import Part


class Feature(BaseModel):
    name: str
    kind: str


class ModelDescription(BaseModel):
    """A model being served. Sizes are in bytes; `provider` is the ONNX Runtime provider that really runs it.

    `lookup` is what turns its ids into embeddings: the native op, or the function of standard operators in its file;
    null for ordinary tables. `part` is `live` for what answers, `canary` for what answers some, and `standby` for what
    answers requests that name its version.
    """

    name: str
    version: int
    provider: str
    lookup: Lookup | None
    part: Part
    scheme: str
    precision: str
    file_bytes: int
    embedding_bytes: int
    full_table_bytes: int
    features: list[Feature]
    metrics: dict[str, Any] | None


def models_router(catalogue: Catalogue) -> APIRouter:
    """The route over the models of a catalogue."""
    router = APIRouter(tags=["models"])

    @router.get("/v1/models")
    async def list_models() -> list[ModelDescription]:
        """The models being served."""
        return [_described(model, part) for versions in catalogue.models.values() for model, part in versions]

    return router


def _described(model: Model, part: Part) -> ModelDescription:
    spec = model.spec
    return ModelDescription(
        name=model.name,
        version=model.version,
        provider=model.engine.provider,
        lookup=model.engine.lookup,
        part=part,
        scheme=spec.embedding.scheme,
        precision=str(spec.precision),
        file_bytes=model.file_bytes,
        embedding_bytes=spec.embedding_bytes,
        full_table_bytes=spec.full_table_bytes,
        features=[Feature(name=feature.name, kind=feature.kind) for feature in spec.features],
        metrics=spec.metrics.model_dump() if spec.metrics else None,
    )
