"""Turns a version on disk into a model that can be asked.

At the start that is all there is to do. Later there are requests to answer meanwhile, so a process apart looks at the
file first (`sandbox.process`): whatever it does there, the server goes on. What is left is done here in a thread of low
priority.
"""

import asyncio
import os
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from thimble.models.spec import ModelSpec
from thimble.ops.library import find_native_ops
from thimble.service.engine.artifact import Artifact, read_artifact
from thimble.service.engine.batcher import Batcher
from thimble.service.engine.engine import Engine
from thimble.service.engine.health import HealthGuard
from thimble.service.releases.allocator import give_memory_back
from thimble.service.releases.repository import StoredVersion
from thimble.service.releases.sandbox.host import STAY_SECONDS, Verifier
from thimble.service.releases.sandbox.process import Task
from thimble.service.settings import Settings
from thimble.service.telemetry.metrics import ModelMetrics

Done = TypeVar("Done")

# Beside requests that use all of a core, a thread that is so nice gets a tenth of it. Much less would be dangerous: it
# may hold the interpreter's lock when it has to wait.
NICENESS = 10
# It pauses before each batch that it warms an engine up with: whoever has slept gets the core for as long as a batch
# takes, whoever has not keeps it for a tick of the kernel's clock.
PAUSE_SECONDS = 0.002


@dataclass(frozen=True, eq=False)
class Model:
    """A version of a model that can be asked."""

    place: StoredVersion
    file_bytes: int
    engine: Engine
    batcher: Batcher
    metrics: ModelMetrics

    @property
    def name(self) -> str:
        return self.place.model

    @property
    def version(self) -> int:
        return self.place.version

    @property
    def spec(self) -> ModelSpec:
        return self.engine.spec

    def announce(self) -> None:
        """Say in the metrics how it is served."""
        spec, engine = self.spec, self.engine
        self.metrics.describe(engine.provider, engine.lookup, spec.embedding.scheme, str(spec.precision))


class Loader:
    """Loads models, one at a time."""

    def __init__(self, settings: Settings, spoiled: Callable[[str, int], None]) -> None:
        """`spoiled` is told of a model's name and version that too often gives no usable scores."""
        self._settings = settings
        self._spoiled = spoiled
        self._loop = asyncio.get_running_loop()
        self._native = find_native_ops(settings.ops_library)
        self._thread = ThreadPoolExecutor(1, "loader", initializer=_be_nice)
        self._verifier = Verifier()
        self._tidying: asyncio.TimerHandle | None = None

    async def load_now(self, place: StoredVersion) -> Model:
        """Load a version without regard to anything else. ArtifactError: why it is refused."""
        return self._model(place, read_artifact(place.path, self._settings.max_model_bytes), 0)

    async def verify(self, path: Path) -> None:
        """Have a file verified. ArtifactError: why it is refused."""
        await self._verifier.verify(self.task(path))

    async def load_beside(self, place: StoredVersion) -> Model:
        """Load a version while requests are answered. ArtifactError: why it is refused."""
        task = self.task(place.path)
        verdict = await self._verifier.verify(task)
        return await self.aside(lambda: self._model(place, verdict.artifact(task), PAUSE_SECONDS))

    async def aside(self, work: Callable[[], Done]) -> Done:
        """Have something done in the thread that loads, while requests are answered."""
        return await self._loop.run_in_executor(self._thread, work)

    def close(self) -> None:
        """End what runs beside the serving."""
        self._verifier.end()

    def task(self, path: Path) -> Task:
        """What a process apart has to know to run a file as it would be run here."""
        settings = self._settings
        return Task(
            path=path.absolute(),
            max_model_bytes=settings.max_model_bytes,
            device=settings.device,
            threads=settings.threads,
            batch_rows=settings.batch_rows,
            ops_library=settings.ops_library,
        )

    def _when_gone(self) -> None:
        """A model is no more, which may be noticed anywhere: see to its memory from the event loop."""
        with suppress(RuntimeError):  # the loop is no more either
            self._loop.call_soon_threadsafe(self._tidy_later)

    def _tidy_later(self) -> None:
        """The next release, if it comes soon, takes the same memory; to have it mapped anew doubles its work."""
        if self._tidying is not None:
            self._tidying.cancel()
        self._tidying = self._loop.call_later(STAY_SECONDS, self._thread.submit, give_memory_back)

    def _model(self, place: StoredVersion, artifact: Artifact, pause: float) -> Model:
        settings = self._settings
        engine = Engine(artifact, settings.device, settings.threads, self._native, settings.batch_rows)
        weakref.finalize(engine, self._when_gone).atexit = False
        metrics = ModelMetrics(place.model, place.version)
        guard = HealthGuard(metrics.unusable, partial(self._spoiled, place.model, place.version))
        batcher = Batcher(
            engine,
            engine.warm_up(pause),
            settings.max_queued_rows,
            settings.timeout_ms / 1e3,
            metrics.batch,
            guard.check,
        )
        return Model(place, len(artifact.content), engine, batcher, metrics)


def _be_nice() -> None:
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
