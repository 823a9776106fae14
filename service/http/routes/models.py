"""The models being served, and the rows that their files say the scores of."""

from collections.abc import Sequence
from typing import Annotated, Any, Self

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from thimble.models import inputs
from thimble.models.bags import Bag
from thimble.models.spec import GoldenFeatures
from thimble.service.engine.engine import Lookup
from thimble.service.http.keys import Keys
from thimble.service.http.responses import errors
from thimble.service.releases.catalogue import Catalogue
from thimble.service.releases.loader import Model
from thimble.service.releases.release import Canary, Shadow
from thimble.service.releases.stored_versions import StoredVersions
from thimble.service.releases.versions import ModelVersions, Part
from thimble.service.wire.tensors import DATATYPES


class Feature(BaseModel):
    name: str
    kind: str


class MultiValuedFeature(Feature):
    """A feature of which a row has several values, and how these are read."""

    bag: Bag


Features = list[MultiValuedFeature | Feature]


class ModelDescription(BaseModel):
    """A model being served. Sizes are in bytes; `provider` is the ONNX Runtime provider that really runs it.

    `lookup` is what turns its ids into embeddings: the native op, or the function of standard operators in its file;
    null for ordinary tables. `part` is `live` for what answers, `canary` for what answers some, and `standby` for what
    answers requests that name its version. `precision_cost` is what its precision changed on held-out rows. `example`
    is a row to send, made of the features' names and kinds alone; of a bag it has a text.
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
    features: Features
    outputs: list[str]
    metrics: dict[str, Any] | None
    precision_cost: dict[str, Any] | None
    example: dict[str, int | str]


class InterfaceTensor(BaseModel):
    """A tensor, as it is sent in the Open Inference Protocol, and its columns: one a feature, or as many as a bag has
    values."""

    name: str
    datatype: str
    features: Features


class Interface(BaseModel):
    """What a model takes and answers. Versions of the same `digest` take and answer the same."""

    digest: str
    inputs: list[InterfaceTensor]
    outputs: list[str]

    @classmethod
    def of(cls, model: Model) -> Self:
        """That of a version."""
        inputs = [
            InterfaceTensor(
                name=tensor.name,
                datatype=DATATYPES[tensor.dtype][0],
                features=_features(tensor.features),
            )
            for tensor in model.spec.graph_inputs
        ]
        return cls(digest=model.interface, inputs=inputs, outputs=list(model.spec.outputs))


class ShadowState(Shadow):
    running: bool


class Roles(BaseModel):
    """What the versions of a model are for, beside the live one.

    `following` says that newer versions become live by themselves. `standby` are the versions that are loaded and
    answer requests that name them; to go back to one takes no time. `also` are those of them that the release names,
    and `previous` is the one that was live before, null where that is not known. `taken_out` are those that the server
    itself took out of the traffic for want of usable scores.
    """

    following: bool
    canary: Canary | None
    shadow: ShadowState | None
    standby: list[int]
    also: list[int]
    previous: int | None
    taken_out: list[int]

    @classmethod
    def of(cls, versions: ModelVersions) -> "Roles":
        """Those of a model's versions."""
        release, shadow = versions.release, versions.shadow
        return Roles(
            following=release.follows,
            canary=release.canary,
            shadow=ShadowState(version=shadow.stored.version, share=shadow.wanted.share, running=shadow.running)
            if shadow
            else None,
            standby=sorted(versions.standby),
            also=sorted(release.also),
            previous=versions.previous,
            taken_out=sorted(release.taken_out),
        )


class ModelState(BaseModel):
    """A model of the repository: the version that is live, those that are `stored`, and what the live one takes."""

    name: str
    live: int | None
    stored: list[int]
    interface: Interface | None
    release: Roles


class Golden(BaseModel):
    """Rows and the scores that this version must give them, but for what processors differ in.

    `features` is what a request holds: every feature with one value a row, null = missing. `scores` is what an answer
    does: a list, or one for each answer of a model that has several.
    """

    model: str
    version: int
    features: GoldenFeatures
    scores: list[float] | dict[str, list[float]]


def models_router(catalogue: Catalogue, stored: StoredVersions, keys: Keys) -> APIRouter:
    """The routes over the models of a catalogue, and of the repository."""
    router = APIRouter(tags=["models"])

    async def find(model: str, version: str | None = None) -> Model:
        return catalogue.find(model, version)

    @router.get("/v1/models")
    async def list_models() -> list[ModelDescription]:
        """The models being served."""
        return [_described(model, part) for versions in catalogue.models.values() for model, part in versions]

    @router.get("/v1/models/{model}", responses=errors(404, 503))
    async def read_model(model: str) -> ModelState:
        """What is live of a model, which versions are stored, and what features it takes."""
        versions = await stored.model(model)
        live = versions.live
        return ModelState(
            name=versions.name,
            live=live.version if live else None,
            stored=sorted(await stored.of(model)),
            interface=Interface.of(live) if live else None,
            release=Roles.of(versions),
        )

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


def _features(features: Sequence[inputs.Feature]) -> Features:
    return [
        MultiValuedFeature(name=it.name, kind=it.kind, bag=it.bag) if it.bag else Feature(name=it.name, kind=it.kind)
        for it in features
    ]


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
        features=_features(spec.features),
        outputs=list(spec.outputs),
        metrics=spec.metrics.model_dump() if spec.metrics else None,
        precision_cost=spec.precision_cost.model_dump() if spec.precision_cost else None,
        example=model.example.row,
    )
