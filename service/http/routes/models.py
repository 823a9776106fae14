"""The models being served, and the rows that their files say the scores of."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from thimble.service.engine.engine import Lookup
from thimble.service.http.keys import Keys
from thimble.service.http.responses import errors
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


class Golden(BaseModel):
    """Rows and the scores that this version must give them, but for what processors differ in.

    `features` is what a request holds: every feature with one value a row, null = missing.
    """

    model: str
    version: int
    features: dict[str, list[int | float | str | None]]
    scores: list[float]


def models_router(catalogue: Catalogue, keys: Keys) -> APIRouter:
    """The routes over the models of a catalogue."""
    router = APIRouter(tags=["models"])

    async def find(model: str, version: str | None = None) -> Model:
        return catalogue.find(model, version)

    @router.get("/v1/models")
    async def list_models() -> list[ModelDescription]:
        """The models being served."""
        return [_described(model, part) for versions in catalogue.models.values() for model, part in versions]

    @router.get("/v1/models/{model}/versions/{version}/golden", responses=errors(401, 403, 404))
    @router.get("/v1/models/{model}/golden", responses=errors(401, 403, 404))
    async def golden_rows(model: Annotated[Model, Depends(find)], request: Request) -> Golden:
        """The golden rows in a model's file. They may be real clicks, so this needs a key, and is off where none is
        set, unless the model was trained on generated ones."""
        provenance, golden = model.spec.provenance, model.spec.golden
        if provenance is None or not provenance.generated:
            keys.require(dict(request.scope["headers"]))
        assert golden is not None
        return Golden(model=model.name, version=model.version, features=golden.features, scores=golden.scores)

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
