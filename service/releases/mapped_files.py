"""Sees to it that nothing is scored with external data that was written to while it is served."""

import asyncio
import logging

from thimble.service.background import Background
from thimble.service.releases import change_log
from thimble.service.releases.catalogue import Catalogue
from thimble.service.releases.loader import Model
from thimble.service.releases.threads import Threads
from thimble.service.releases.versions import ModelVersions

# What was written to is refused at the first look that finds it, and read again at the second.
EVERY_SECONDS = 0.5
# For a file that was touched to be read again. A disk that takes longer hangs, which is logged and counted.
LOOK_SECONDS = 60.0
CAUSE = "external data"
log = logging.getLogger("thimble")


class MappedFiles:
    """Looks at the external data of all that a catalogue serves, and has it unready where a model cannot be scored."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._background = Background()
        self._threads = Threads()

    def start(self) -> None:
        self._background.keep_up("looking at external data", self._watch)

    def close(self) -> None:
        self._background.close()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            models = [model for model in self._catalogue if model.external]
            if models:
                await self._threads.run(CAUSE, LOOK_SECONDS, _look, models)
            for model in models:
                _judge(self._catalogue.models[model.name], model)
            for name, versions in self._catalogue.models.items():
                self._set_fault(f"{CAUSE} of {name}", _unscored(versions))

    def _set_fault(self, key: str, fault: str | None) -> None:
        if fault is None:
            self._catalogue.faults.pop(key, None)
        else:
            self._catalogue.faults[key] = fault


def _look(models: list[Model]) -> None:
    for model in models:
        for data in model.external:
            data.look()


def _judge(versions: ModelVersions, model: Model) -> None:
    """Have a version score as long as its external data is what was exported."""
    name, before = f"version {model.version} of {model.name}", model.batcher.faults.get(CAUSE)
    fault = next((f"{name} does not score: {data.fault}" for data in model.external if data.fault is not None), None)
    if fault is not None:
        model.batcher.refuse(CAUSE, fault)
        if fault != before:
            log.error("%s", fault, extra=change_log.failing(versions, model))
    elif before is not None:
        model.batcher.accept(CAUSE)
        line = "%s scores again: its external data is what was exported"
        log.info(line, name, extra=change_log.failing(versions, model, again=True))


def _unscored(versions: ModelVersions) -> str | None:
    """Why requests that name no version get no scores, if that is for external data."""
    live = versions.live
    if live is None:
        return None
    other = versions.fallback(live)
    return live.batcher.faults.get(CAUSE) if other is None or other.batcher.faults else None
