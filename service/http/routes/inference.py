"""The Open Inference Protocol (v2) with Triton's extensions; inference itself is in `thimble.service.http.scoring`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from thimble.service.engine.room import rows_within
from thimble.service.errors import RequestError
from thimble.service.http.responses import errors
from thimble.service.releases.catalogue import Catalogue
from thimble.service.releases.loader import Model
from thimble.service.telemetry.statistics import ModelStatistics, statistics
from thimble.service.wire import inference
from thimble.service.wire.tensors import DATATYPES

EXTENSIONS = ["binary_tensor_data", "model_configuration", "model_repository", "parameters", "statistics"]


class ServerMetadata(BaseModel):
    name: str
    version: str
    extensions: list[str]


class Tensor(BaseModel):
    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    name: str
    versions: list[str]
    platform: str
    inputs: list[Tensor]
    outputs: list[Tensor]


class ConfiguredTensor(BaseModel):
    name: str
    data_type: str
    dims: list[int]


class DynamicBatching(BaseModel):
    """`max_queue_delay_microseconds` is 0: a batch never waits for more to come."""

    preferred_batch_size: list[int]
    max_queue_delay_microseconds: int


class ModelConfig(BaseModel):
    name: str
    platform: str
    backend: str
    max_batch_size: int
    input: list[ConfiguredTensor]
    output: list[ConfiguredTensor]
    dynamic_batching: DynamicBatching


class Statistics(BaseModel):
    model_stats: list[ModelStatistics]


class Live(BaseModel):
    live: bool


class Ready(BaseModel):
    ready: bool


class ModelReady(BaseModel):
    name: str
    ready: bool


def inference_router(catalogue: Catalogue, max_rows: int, max_bytes: int) -> APIRouter:
    """The routes over the models of a catalogue. One request may have `max_rows`, with bags of at most `max_bytes`."""
    router = APIRouter(prefix="/v2", tags=["Open Inference Protocol"])

    @router.get("")
    async def server_metadata(request: Request) -> ServerMetadata:
        """What this server is and can do."""
        return ServerMetadata(name="thimble", version=request.app.version, extensions=EXTENSIONS)

    @router.get("/health/live")
    async def server_live() -> Live:
        """The process answers."""
        return Live(live=True)

    @router.get("/health/ready", responses=errors(503))
    async def server_ready() -> Ready:
        """Models are loaded, verified and ready to score."""
        catalogue.check_ready()
        return Ready(ready=True)

    @router.get("/models/stats")
    def statistics_of_all_models() -> Statistics:
        """The statistics of all models, of all workers together."""
        return Statistics(model_stats=[statistics(model.name, model.version) for model in catalogue])

    for prefix in ("/models/{model}", "/models/{model}/versions/{version}"):
        router.include_router(_model_router(prefix, catalogue, max_rows, max_bytes))
    return router


def _model_router(prefix: str, catalogue: Catalogue, max_rows: int, max_bytes: int) -> APIRouter:
    """The routes of one model, or of one of its versions."""
    router = APIRouter(prefix=prefix, responses=errors(404))

    async def find(model: str, version: str | None = None) -> Model:
        return catalogue.find(model, version)

    @router.get("")
    async def model_metadata(model: Annotated[Model, Depends(find)]) -> ModelMetadata:
        """A model's inputs and outputs; -1 is the number of rows."""
        return ModelMetadata(
            name=model.name,
            versions=sorted(str(other.version) for other in catalogue if other.name == model.name),
            platform=inference.PLATFORM,
            inputs=[
                Tensor(name=tensor.name, datatype=DATATYPES[tensor.dtype][0], shape=[-1, tensor.width])
                for tensor in model.spec.graph_inputs
            ],
            outputs=[Tensor(name=name, datatype="FP32", shape=[-1]) for name in model.spec.outputs],
        )

    @router.get("/ready", responses=errors(503))
    async def model_ready(model: Annotated[Model, Depends(find)]) -> ModelReady:
        """The model is ready to score."""
        for reason in model.batcher.faults.values():
            raise RequestError(503, reason)
        return ModelReady(name=model.name, ready=True)

    @router.get("/config")
    async def model_config(model: Annotated[Model, Depends(find)]) -> ModelConfig:
        """A model's configuration in Triton's form."""
        return ModelConfig(
            name=model.name,
            platform=inference.PLATFORM,
            backend="onnxruntime",
            max_batch_size=rows_within(model.spec, max_rows, max_bytes),
            input=[
                ConfiguredTensor(name=tensor.name, data_type=f"TYPE_{DATATYPES[tensor.dtype][0]}", dims=[tensor.width])
                for tensor in model.spec.graph_inputs
            ],
            output=[ConfiguredTensor(name=name, data_type="TYPE_FP32", dims=[]) for name in model.spec.outputs],
            dynamic_batching=DynamicBatching(
                preferred_batch_size=[model.engine.batch_rows], max_queue_delay_microseconds=0
            ),
        )

    @router.get("/stats")
    def model_statistics(model: Annotated[Model, Depends(find)]) -> Statistics:
        """A model's statistics, of all workers together."""
        return Statistics(model_stats=[statistics(model.name, model.version)])

    return router
