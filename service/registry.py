"""The models being served, found in a repository laid out as MODEL/VERSION/model.onnx."""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from models.spec import MODEL_NAME, ModelSpec
from service.artifact import ArtifactError, read_artifact
from service.batcher import Batcher
from service.engine import Engine
from service.errors import RequestError, StartupError
from service.metrics import ModelMetrics
from service.native import find_native_ops
from service.oip import InferenceReader
from service.settings import Settings
from service.wire import RowReader

MODEL_FILE = "model.onnx"
_NAME = re.compile(MODEL_NAME)
_VERSION = re.compile(r"[1-9]\d{0,17}")
log = logging.getLogger("thimble")


@dataclass(frozen=True)
class Model:
    """A model being served."""

    name: str
    version: int
    path: Path
    file_bytes: int
    engine: Engine
    batcher: Batcher
    rows: RowReader
    inferences: InferenceReader
    metrics: ModelMetrics

    @property
    def spec(self) -> ModelSpec:
        return self.engine.spec


class Registry:
    """The newest good version of every model. StartupError when there is none at all."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._native = find_native_ops(settings.ops_library)
        self._models = {model.name: model for model in self._load_all(settings.repository)}
        if not self._models:
            raise StartupError(f"{settings.repository}: none of its models can be served")

    def __iter__(self) -> Iterator[Model]:
        return iter(self._models.values())

    def find(self, name: str | None = None, version: str | None = None) -> Model:
        """The model of a name, or the only one. RequestError 404: there is none, or not that version of it."""
        if name is None:
            if len(self._models) > 1:
                raise RequestError(404, f"several models are served ({self._served()}), use /v1/models/MODEL/score")
            return next(iter(self))
        if name not in self._models:
            raise RequestError(404, f"no model {name[:64]!r} is served; there is {self._served()}")
        model = self._models[name]
        if version is not None and version != str(model.version):
            shown = version[:20].encode("unicode_escape").decode()
            raise RequestError(404, f"version {shown} of {name} is not served; there is {self._served()}")
        return model

    def _served(self) -> str:
        return ", ".join(f"{model.name} version {model.version}" for model in self)

    def _load_all(self, source: Path) -> Iterator[Model]:
        if source.is_file():
            try:
                yield self._load(source)
            except ArtifactError as error:
                raise StartupError(str(error)) from None
            return
        if not source.is_dir():
            raise StartupError(f"{source}: no such file or folder")
        families = _families(source)
        if not families:
            inside = any(source.glob(f"[1-9]*/{MODEL_FILE}"))
            hint = f"; its parent {source.absolute().parent} may be the repository" if inside else ""
            raise StartupError(f"{source}: neither a {MODEL_FILE} nor a repository of MODEL/VERSION/{MODEL_FILE}{hint}")
        for versions in families:
            for path in versions:
                try:
                    yield self._load(path)
                    break
                except ArtifactError as error:
                    log.error("refused %s", error)

    def _load(self, path: Path) -> Model:
        settings = self._settings
        artifact = read_artifact(path, settings.max_model_bytes)
        spec = artifact.spec
        engine = Engine(artifact, settings.device, settings.threads, self._native, settings.batch_rows)
        folder = path.absolute().parent
        in_repository = _VERSION.fullmatch(folder.name) is not None
        name = folder.parent.name if in_repository else artifact.spec.name
        version = int(folder.name) if in_repository else 1
        metrics = ModelMetrics(name, version)
        metrics.describe(engine.provider, engine.lookup, spec.embedding.scheme, str(spec.precision))
        rows = RowReader(spec, settings.max_rows)
        model = Model(
            name=name,
            version=version,
            path=path,
            file_bytes=len(artifact.content),
            engine=engine,
            batcher=Batcher(
                engine, engine.warm_up(), settings.max_queued_rows, settings.timeout_ms / 1e3, metrics.batch
            ),
            rows=rows,
            inferences=InferenceReader(spec, rows),
            metrics=metrics,
        )
        log.info("loaded %s version %d from %s, runs on %s", model.name, model.version, path, engine.provider)
        return model


def _families(repository: Path) -> list[list[Path]]:
    """For every model its versions' files, newest first."""
    families = []
    for folder in sorted(p for p in repository.iterdir() if p.is_dir() and _NAME.fullmatch(p.name)):
        versions = [p for p in folder.iterdir() if _VERSION.fullmatch(p.name) and (p / MODEL_FILE).is_file()]
        if versions:
            families.append([p / MODEL_FILE for p in sorted(versions, key=lambda p: int(p.name), reverse=True)])
    return families
