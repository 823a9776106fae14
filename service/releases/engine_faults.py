"""An engine that scores nothing any more, not even its golden rows.

No version is to blame for that: its file was proven, and this engine has scored these rows before. It is tried again,
and if it is that of a version that answers all requests and does not recover, a new process has to take the place of
this one. A canary or a standby that fails gets no requests, and costs nobody else the process.
"""

import asyncio
import logging
from functools import partial
from typing import Any

from thimble.service.background import Background
from thimble.service.engine.batcher import RETRY_SECONDS
from thimble.service.releases import change_log
from thimble.service.releases.catalogue import Catalogue
from thimble.service.releases.repository import StoredVersion

# How often a live version's engine is tried again.
TRIES = 5
log = logging.getLogger("thimble")


class EngineFaults:
    """Sees to the engines of a catalogue that fail."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._background = Background()

    def see_to(self, stored: StoredVersion, error: Exception) -> None:
        """The engine of a version has failed."""
        self._background.keep_up("engine", partial(self._mend, stored, error))

    def close(self) -> None:
        self._background.close()

    def _noted(self, stored: StoredVersion, again: bool = False) -> dict[str, Any]:
        """What the line of a change says besides, if this is one."""
        model = self._catalogue.loaded(stored)
        return change_log.failing(self._catalogue.models[stored.model], model, again) if model else {}

    async def _mend(self, stored: StoredVersion, error: Exception) -> None:
        """Try an engine again until it scores, the version is gone, or the process has to be replaced."""
        name, faults = f"version {stored.version} of {stored.model}", self._catalogue.faults
        line = "the engine of %s fails on what it scored before, and is tried again: %s"
        log.error(line, name, error, extra=self._noted(stored))
        tried = 0
        try:
            while (model := self._catalogue.loaded(stored)) is not None:
                if self._catalogue.is_live(model):
                    faults[name] = f"the engine of {name} fails and is tried again"
                    tried += 1
                else:
                    faults.pop(name, None)
                    tried = 0
                await asyncio.sleep(RETRY_SECONDS)
                try:
                    await model.batcher.try_again()
                except Exception as failure:  # ORT has no public base class for its errors
                    model.metrics.engine_failed()
                    if tried == TRIES:
                        self._catalogue.fatal = f"the engine of {name} fails for good: {failure}"
                        return
                else:
                    log.warning("the engine of %s scores again", name, extra=self._noted(stored, again=True))
                    return
        finally:
            faults.pop(name, None)
