"""Turns a version on disk into a model that can be asked.

At the start that is all there is to do. Later there are requests to answer meanwhile, so the sandbox process loads the
file first (`sandbox.process`): whatever it does there, the server goes on. What is left is done here in a thread of low
priority.
"""

import asyncio
import os
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from thimble.models.features import Batch
from thimble.models.spec import ModelSpec
from thimble.ops.library import find_native_ops
from thimble.service.background import Background
from thimble.service.engine.artifact import Artifact, ArtifactError, read_artifact
from thimble.service.engine.batcher import Batcher
from thimble.service.engine.engine import Engine
from thimble.service.engine.example import Example, example_of
from thimble.service.engine.external import ExternalData
from thimble.service.engine.health import Health
from thimble.service.engine.room import rows_within
from thimble.service.errors import UnavailableError
from thimble.service.releases.allocator import give_memory_back
from thimble.service.releases.hold import BusyError, Hold
from thimble.service.releases.interface import interface_of
from thimble.service.releases.lease import Lease
from thimble.service.releases.repository import StoredVersion
from thimble.service.releases.sandbox.host import IDLE_SECONDS, TIMEOUT_SECONDS, Verifier
from thimble.service.releases.sandbox.messages import Task
from thimble.service.releases.threads import Threads
from thimble.service.settings import Settings
from thimble.service.telemetry.metrics import ModelMetrics

# Beside requests that use all of a core, a thread that is so nice gets a tenth of it. Much less would be dangerous: it
# may hold the interpreter's lock when it has to wait.
NICENESS = 10
# It pauses before each batch that it warms an engine up with: whoever has slept gets the core for as long as a batch
# takes, whoever has not keeps it for a tick of the kernel's clock.
PAUSE_SECONDS = 0.002
# Versions are loaded one at a time, which takes the least memory, but one that takes long, or hangs, does not hold up
# the others for longer than this.
OVERTAKEN_SECONDS = 2.0


@dataclass(frozen=True, eq=False)
class Model:
    """A version of a model that can be asked."""

    stored: StoredVersion
    file_bytes: int
    engine: Engine
    batcher: Batcher
    health: Health
    metrics: ModelMetrics
    example: Example
    external: Sequence[ExternalData]
    hold: Hold

    @property
    def name(self) -> str:
        return self.stored.model

    @property
    def version(self) -> int:
        return self.stored.version

    @property
    def spec(self) -> ModelSpec:
        return self.engine.spec

    @cached_property
    def interface(self) -> str:
        """The digest of what it takes."""
        return interface_of(self.spec)

    def announce(self) -> None:
        """Say in the metrics how it is served."""
        spec, engine = self.spec, self.engine
        self.metrics.describe(engine.provider, engine.lookup, spec.embedding.scheme, str(spec.precision))


class Loader:
    """Loads models. Its `threads` are for what takes long beside requests."""

    def __init__(
        self,
        settings: Settings,
        on_suspicion: Callable[[StoredVersion, Batch], None],
        on_fault: Callable[[StoredVersion, Exception], None],
    ) -> None:
        """`on_suspicion` is told of a version that gives no finite scores, with rows for which it gave none, and
        `on_fault` of one whose engine fails. (Of what was stored, since a model that knew itself would never be freed.)
        """
        self._settings = settings
        self._on_suspicion = on_suspicion
        self._on_fault = on_fault
        self._loop = asyncio.get_running_loop()
        self._native = find_native_ops(settings.ops_library)
        self.threads = Threads(_lower_priority)
        self._verifier = Verifier()
        self._one_at_a_time = Lease(OVERTAKEN_SECONDS)
        self._background = Background()
        self._trim_timer: asyncio.TimerHandle | None = None

    async def load_at_start(self, stored: StoredVersion) -> Model:
        """Load a version when there are no requests to answer yet.

        ArtifactError: why it is refused. UnavailableError: it is being deleted.
        """
        hold = _hold(stored.path)
        return self._model(stored, read_artifact(stored.path, self._settings.max_model_bytes), hold, 0)

    async def verify(self, path: Path) -> ModelSpec:
        """Have a file verified. Returns what it is.

        ArtifactError: why it is refused. UnavailableError: why that cannot be told now.
        """
        async with self._one_at_a_time.hold():
            verdict = await self._verifier.verify(self.task(path))
        assert verdict.spec is not None
        return verdict.spec

    async def load_while_serving(self, stored: StoredVersion) -> Model:
        """Load a version while requests are answered.

        ArtifactError: why it is refused. UnavailableError: why it cannot be loaded now.
        """
        task = self.task(stored.path)
        async with self._one_at_a_time.hold():
            verdict = await self._verifier.verify(task)

            def load() -> Model:
                hold = _hold(stored.path)
                artifact = verdict.artifact(task)
                try:
                    return self._model(stored, artifact, hold, PAUSE_SECONDS)
                except ArtifactError as error:
                    raise UnavailableError(f"{error}, though a process of its own could load it") from None

            return await self.threads.run(str(stored.path), TIMEOUT_SECONDS, load)

    def close(self) -> None:
        self._background.close()
        self._verifier.end()

    def task(self, path: Path) -> Task:
        """What the sandbox process has to know to run a file as it would be run here."""
        return sandbox_task(self._settings, path)

    def _on_model_freed(self) -> None:
        """A model is no more, which may be noticed anywhere: see to its memory from the event loop."""
        with suppress(RuntimeError):  # the loop is no more either
            self._loop.call_soon_threadsafe(self._trim_later)

    def _trim_later(self) -> None:
        """The next release, if it comes soon, takes the same memory; to have it mapped anew doubles its work."""
        if self._trim_timer is not None:
            self._trim_timer.cancel()
        self._trim_timer = self._loop.call_later(IDLE_SECONDS, self._trim)

    def _trim(self) -> None:
        self._background.keep_up("trimming", partial(self.threads.run, "the allocator", None, give_memory_back))

    def _model(self, stored: StoredVersion, artifact: Artifact, hold: Hold, pause: float) -> Model:
        settings = self._settings
        engine = Engine(artifact, settings.device, settings.threads, self._native, settings.batch_rows)
        weakref.finalize(engine, self._on_model_freed).atexit = False
        metrics = ModelMetrics(stored.model, stored.version)
        health = Health(
            f"version {stored.version} of {stored.model}",
            metrics,
            partial(self._on_suspicion, stored),
            partial(self._on_fault, stored),
        )
        cost, timeout = engine.warm_up(pause), settings.timeout_ms / 1e3
        queued = rows_within(engine.spec, settings.max_queued_rows, settings.max_inflight_bytes)
        batcher = Batcher(engine, cost, queued, timeout, health)
        external = tuple(artifact.external.values())
        example = example_of(engine)
        return Model(stored, len(artifact.content), engine, batcher, health, metrics, example, external, hold)


def sandbox_task(settings: Settings, path: Path) -> Task:
    """What the sandbox process, which runs in another folder, has to know to run a file as it would be run here."""
    library = settings.ops_library
    paths = {"path": path.absolute(), "ops_library": library and library.absolute()}
    return Task.model_validate({**settings.model_dump(), **paths})


def _hold(path: Path) -> Hold:
    try:
        return Hold(path)
    except BusyError:
        raise UnavailableError(f"{path} is being deleted") from None


def _lower_priority() -> None:
    if sys.platform == "linux":  # elsewhere it is processes alone that have one
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
