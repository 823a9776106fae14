"""The Open Inference Protocol (v2) with Triton's extensions; inference itself is in `thimble.service.http.scoring`."""

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel

from thimble.service.http.responses import errors
from thimble.service.http.tags import Tag
from thimble.service.releases.catalogue import Catalogue
from thimble.service.releases.loader import Model
from thimble.service.telemetry.statistics import statistics
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


class Duration(BaseModel):
    count: int
    ns: int


class InferenceStatistics(BaseModel):
    success: Duration
    fail: Duration
    queue: Duration
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration
    cache_hit: Duration
    cache_miss: Duration


class ModelStatistics(BaseModel):
    """`inference_count` counts rows, `execution_count` batches, and the `inference_stats` requests."""

    name: str
    version: str
    last_inference: int
    inference_count: int
    execution_count: int
    inference_stats: InferenceStatistics
    batch_stats: list[Any]


class Statistics(BaseModel):
    model_stats: list[ModelStatistics]


class Live(BaseModel):
    live: bool


class Ready(BaseModel):
    ready: bool


class ModelReady(BaseModel):
    name: str
    ready: bool


def inference_router(catalogue: Catalogue, max_rows: int) -> APIRouter:
    """The routes over the models of a catalogue."""
    router = APIRouter(prefix="/v2", tags=[Tag.PROTOCOL])
    models = APIRouter(prefix="/models/{model}", responses=errors(404))

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
        return Statistics(model_stats=[_statistics(model) for model in catalogue])

    @models.get("/versions/{version}")
    @models.get("")
    async def model_metadata(model: str, version: str | None = None) -> ModelMetadata:
        """A model's inputs and outputs; -1 is the number of rows."""
        found = catalogue.find(model, version)
        return _metadata(found, sorted(str(other.version) for other in catalogue if other.name == found.name))

    @models.get("/versions/{version}/ready")
    @models.get("/ready")
    async def model_ready(model: str, version: str | None = None) -> ModelReady:
        """The model is ready to score."""
        return ModelReady(name=catalogue.find(model, version).name, ready=True)

    @models.get("/versions/{version}/config")
    @models.get("/config")
    async def model_config(model: str, version: str | None = None) -> ModelConfig:
        """A model's configuration in Triton's form."""
        return _config(catalogue.find(model, version), max_rows)

    @models.get("/versions/{version}/stats")
    @models.get("/stats")
    def model_statistics(model: str, version: str | None = None) -> Statistics:
        """A model's statistics, of all workers together."""
        return Statistics(model_stats=[_statistics(catalogue.find(model, version))])

    router.include_router(models)
    return router


def _metadata(model: Model, versions: list[str]) -> ModelMetadata:
    return ModelMetadata(
        name=model.name,
        versions=versions,
        platform=inference.PLATFORM,
        inputs=[
            Tensor(name=tensor.name, datatype=DATATYPES[tensor.dtype][0], shape=[-1, tensor.width])
            for tensor in model.spec.inputs
        ],
        outputs=[Tensor(name=inference.OUTPUT, datatype="FP32", shape=[-1])],
    )


def _config(model: Model, max_rows: int) -> ModelConfig:
    return ModelConfig(
        name=model.name,
        platform=inference.PLATFORM,
        backend="onnxruntime",
        max_batch_size=max_rows,
        input=[
            ConfiguredTensor(name=tensor.name, data_type=f"TYPE_{DATATYPES[tensor.dtype][0]}", dims=[tensor.width])
            for tensor in model.spec.inputs
        ],
        output=[ConfiguredTensor(name=inference.OUTPUT, data_type="TYPE_FP32", dims=[])],
        dynamic_batching=DynamicBatching(
            preferred_batch_size=[model.engine.batch_rows], max_queue_delay_microseconds=0
        ),
    )


def _statistics(model: Model) -> ModelStatistics:
    return ModelStatistics.model_validate(statistics(model.name, model.version))
